/*
 * What the screen keeps of snapshots, so that keys are answered between two of them: the figures of the
 * head, and rows of sites and processes with their figures, growth and rates since the one before.
 * Stacks of rows live as long as what the snapshot came from: model_drop_stacks when that goes.
 */
#ifndef ALLOCTRACE_SCREEN_MODEL_H
#define ALLOCTRACE_SCREEN_MODEL_H

#include "picture/snapshot.h"
#include "report/budget_text.h"
#include "verdict/words.h"

enum pane {
	PANE_SITES,
	PANE_OBJECTS, /* sites of Python's small objects; there are none where they are not looked at */
	PANE_PROCESSES,
	PANE_CNT
};

static inline bool pane_is_of_sites(enum pane pane)
{
	return pane != PANE_PROCESSES;
}

/* How a column's values are written. */
enum column_form {
	COLUMN_BYTES,
	COLUMN_GROWTH, /* bytes, with a sign */
	COLUMN_COUNT,
	COLUMN_RATE, /* a second */
};

struct column {
	const char *name;
	enum column_form form;
	const char *help; /* one line */
};

/* The columns, in the order in which they are shown, the most important first. */
enum site_column {
	SITE_LIVE,
	SITE_GROWTH,
	SITE_ALLOCATED_RATE,
	SITE_FREED_RATE,
	SITE_PINNED,
	SITE_BLOCKS,
	SITE_ALLOCATED,
	SITE_FREED_HERE,
	SITE_PEAK,
	SITE_COLUMN_CNT
};

/* The first ones as those of sites are. */
enum object_column {
	OBJECT_CNT = SITE_FREED_RATE + 1,
	OBJECT_BORN,
	OBJECT_COLUMN_CNT
};

enum process_column {
	PROCESS_RSS,
	PROCESS_GROWTH,
	PROCESS_LIVE,
	PROCESS_RETAINED,
	PROCESS_PURGEABLE,
	PROCESS_PINNED,
	PROCESS_ALLOCATIONS,
	PROCESS_COLUMN_CNT
};

#define COLUMNS_MAX 9
#define NO_VALUE INT64_MIN

struct row {
	uint64_t key; /* a site's number, a process's PID */
	const struct stack *stack;   /* of a site; NULL: not known */
	int64_t values[COLUMNS_MAX]; /* NO_VALUE: not known */
};

struct row_table {
	const struct column *columns;
	unsigned column_cnt;
	const char *text_name; /* heading of what follows the figures */
	struct row *rows;
	size_t cnt;
};

#define PROCESS_TEXT_MAX 128

/* What the head shows; UNKNOWN as in the snapshot. */
struct head {
	char title[128];
	uint64_t time_ns, started_ns;
	uint64_t rss, live, retained, purgeable, pinned;
	double age;            /* of the heap's figures, seconds; negative: no heap was read yet */
	char sentence[VERDICT_MAX]; /* what a purge would return, or why nobody knows */
	const char *purge_call; /* "malloc_trim(0)"; NULL: none */
	char budget[BUDGET_TEXT_MAX]; /* "", or what probes see, or cost where they see all */
	char cgroup[256];      /* "", or a line */
	char doubt[256];       /* "", or what was lost */
	char missing[256];     /* "", or the first that is not seen */
	bool has_sites, has_objects;
	bool final;
	char ended[160];
};

struct model {
	struct head head;
	struct row_table tables[PANE_CNT];
	uint64_t grown_since_ns;  /* growth counts from then; 0: from the snapshot before */
	/* The rest is model.c's. */
	char (*process_texts)[PROCESS_TEXT_MAX];
	struct sites_before {
		struct site_before *v; /* by site number */
		size_t cnt;
	} before[PANE_CNT];
	struct process_before *processes_before;
	size_t process_before_cnt;
	bool of_many;
};

struct model *model_new(void);          /* NULL: no memory */
void model_free(struct model *model);   /* NULL-safe */
/* A new snapshot, of a picture that is no picture of ends. 0 or −ENOMEM: rows are missing then. */
int model_take(struct model *model, const struct snapshot *s);
/* Rows of sites go: their stacks do. */
void model_drop_stacks(struct model *model);
/* From now on growth of sites counts from here, or again from one snapshot to the next. */
void model_mark(struct model *model);
/* Of a process's row: "python3 (4242)", and how it ended. */
const char *model_process_text(const struct model *model, const struct row *row);
/* "RSS 386 MiB, 8.92 MiB live, …": the whole in a line; returns buf. */
#define MODEL_LINE_MAX 512
const char *model_line(const struct model *model, char buf[MODEL_LINE_MAX]);

#endif
