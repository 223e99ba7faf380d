/*
 * What grew from one snapshot (A) to another (B), by site and figure. The two may come from different
 * processes, builds and machines: sites are the same where their frames say the same (stack_keys.h),
 * first with lines; what is left of both is matched without lines and added up.
 *
 * A's figures of sites and events, which count from the attach on, may be scaled to B's extent: to as
 * long a time, as many marks or as many allocations (--by). Of what is at a moment, RSS and the heap's
 * figures, what sites pin and retain of it too, nothing is scaled.
 */
#ifndef ALLOCTRACE_REPORT_DIFF_H
#define ALLOCTRACE_REPORT_DIFF_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"
#include "picture/snapshot.h"
#include "picture/weight.h"

enum diff_by {
	DIFF_BY_NOTHING,
	DIFF_BY_TIME,
	DIFF_BY_MARKS,
	DIFF_BY_ALLOCATIONS,
	DIFF_BY_CNT
};
extern const char *const diff_by_names[DIFF_BY_CNT]; /* "nothing", "time", … */

struct diff_options {
	enum diff_by by;
	enum site_weight weight; /* by whose change sites are ranked */
	uint64_t top;            /* rows of a table; 0: as the form likes */
	bool colour;
};

struct diff_side {
	const char *name; /* of the recording */
	int64_t epoch_ns; /* its clock's lead (base/clock.h) */
	const struct snapshot *snapshot;
};

enum diff_match {
	DIFF_SAME,       /* there in both */
	DIFF_OTHER_LINES, /* in both, but for lines */
	DIFF_NEW,        /* only in B */
	DIFF_GONE,       /* only in A */
	DIFF_UNSEEN_A,   /* in B; A's figures are estimates, in which it was not seen: not zero, but unknown */
	DIFF_UNSEEN_B,
	DIFF_MATCH_CNT
};
extern const char *const diff_match_words[DIFF_MATCH_CNT]; /* "", "moved", "new", …, "not seen in A" */

#define DIFF_NONE UINT32_MAX

struct diff_row {
	const struct stack *stack; /* B's, or A's of one that is gone; NULL: no stack */
	enum diff_match match;
	uint32_t first[2]; /* the sites of each side (allocs->sites), then next[side]; DIFF_NONE */
	int64_t change;    /* of the figure that they are ranked by */
	bool within_error; /* … which may be none: the intervals of the estimates are wider */
};

struct diff {
	struct diff_options options;
	struct diff_side side[2];
	struct weights weights[2];
	double factor;         /* by which A's figures are multiplied; 1 by nothing */
	struct diff_row *rows; /* largest change, up or down, first; those within the error last */
	size_t cnt;
	uint32_t *next[2];     /* by place in the side's sites */
};

/* What the sides point to must outlive *diff. 0, −ENOMEM, −EINVAL where A or B has none of what --by asks for. */
int diff_make(struct diff *diff, const struct diff_side *a, const struct diff_side *b,
	      const struct diff_options *options, struct error *err);
void diff_free(struct diff *diff); /* idempotent */

/* A figure of a row: A's (side 0) scaled, or B's; 0 where it is not known (diff_knows). */
uint64_t diff_figure(const struct diff *diff, const struct diff_row *row, unsigned side,
		     enum site_weight weight);
bool diff_knows(const struct diff *diff, unsigned side, enum site_weight weight);
/* Between what a change of estimates lies, with 95 %; INT64_MIN, INT64_MAX: without bound, of a site that was not seen. */
struct diff_range {
	int64_t low, high;
};
/* False: both sides are exact, or nothing is known of the error of that weight. */
bool diff_range(const struct diff *diff, const struct diff_row *row, enum site_weight weight,
		struct diff_range *range);
bool diff_may_be_none(const struct diff_range *range);
/* Whether that change of a row may be none. Of a site that was not seen on one side the other side shows that it is one. */
bool diff_within_error(const struct diff *diff, const struct diff_row *row, enum site_weight weight);
/* Whether a side of the row was not seen, its figure so not known. */
bool diff_is_unseen(const struct diff_row *row, unsigned side);
/* How a change of a range is shown: "+1.20 MiB ±300 KiB", "≤ +5.00 MiB" of one that was not seen; returns buf. range NULL: exact. */
#define DIFF_CHANGE_MAX 64
const char *diff_change_text(char buf[DIFF_CHANGE_MAX], int64_t change, const struct diff_range *range, bool is_count);

/* A figure of A that counts from the attach on, scaled; UNKNOWN stays. */
uint64_t diff_scaled(const struct diff *diff, uint64_t figure);
/* B − A, at the ends of what there is room for. */
int64_t diff_change(uint64_t a, uint64_t b);

/* The whole of both, one row a figure. */
struct diff_total {
	const char *name; /* for a table: "live heap" */
	const char *key;  /* for JSON: "live_heap" */
	bool is_count;    /* else bytes */
	bool since_attach; /* and A's scaled */
	uint64_t a, b;    /* UNKNOWN */
	bool estimated;   /* … and between what the change lies then */
	struct diff_range range;
};
#define DIFF_TOTALS_MAX 24
size_t diff_totals(const struct diff *diff, struct diff_total totals[DIFF_TOTALS_MAX]);
bool diff_total_says_something(const struct diff_total *total); /* it is known, and not 0 of both */

/* The forms, by name: 0, or −errno of the stream. */
enum diff_form_number {
	DIFF_TEXT,
	DIFF_JSON,
	DIFF_FOLDED,
	DIFF_HTML,
	DIFF_FORM_CNT
};
struct diff_form {
	const char *name;
	int (*write)(FILE *out, const struct diff *diff);
};
extern const struct diff_form diff_forms[DIFF_FORM_CNT];

int diff_text(FILE *out, const struct diff *diff);
/* As difffolded.pl gives it, for flamegraph.pl: "outermost;…;innermost A B" a line, the weight of both. */
int diff_folded(FILE *out, const struct diff *diff);
int diff_json(FILE *out, const struct diff *diff);
int diff_html(FILE *out, const struct diff *diff);

#define DIFF_TIME_MAX 32
/* When a side's snapshot was taken, "2026-11-24 22:13:20"; returns buf. */
const char *diff_time(char buf[DIFF_TIME_MAX], const struct diff_side *side);

#endif
