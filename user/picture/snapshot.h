/*
 * The immutable picture from which every output is made. Built by a command (command/session.c)
 * from the last heap state, the detectors' views and the losses; borrowed pointers live as
 * long as the call that reports it. UNKNOWN figures (heap/state.h) print as null or "–".
 */
#ifndef ALLOCTRACE_PICTURE_SNAPSHOT_H
#define ALLOCTRACE_PICTURE_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "detect/churn.h"
#include "detect/collector.h"
#include "detect/marks.h"
#include "detect/own_returns.h"
#include "detect/purge.h"
#include "detect/returned.h"
#include "detect/window.h"
#include "event/source.h"
#include "heap/bounds.h"
#include "heap/ledger.h"
#include "heap/state.h"
#include "heap/survey.h"
#include "stack/stacks.h"
#include "target/cgroup.h"

/* One site as outputs see it. */
struct site_view {
	uint32_t number;                  /* heap/sites.h */
	const struct site *figures;
	const struct site_survey *survey; /* NULL: none yet */
	struct site_count peak;           /* what of it was live at the peak of all */
	const struct stack *stack;        /* NULL: not known */
	const struct site_bounds *bounds; /* NULL: the figures are exact */
	bool of_objects; /* of Python's small objects, among those of blocks: picture/with_objects.h */
};

/* What the allocation probes may cost, and how much of the process they see for that. */
struct budget_view {
	double max_overhead;  /* share of the process's CPU time that probes may take; 0: no limit */
	double probe_share;   /* that they took of the last 5 s, measured, with or without a limit; negative: not known yet */
	double tracer_share;  /* our own CPU time in the last 5 s, as a share of the process's; negative: not known yet */
	double duty;          /* of the process's own CPU time since the attach, that with the probes on: 0…1 */
	double duty_now;      /* the same of the last 5 s */
	bool estimated;       /* some time or some stack was not seen: figures of events and sites are estimates */
	double error;         /* half of the 95 % interval, relative, of live bytes: mean over the sites by live bytes; 0: exact */
	struct site_bounds totals; /* of totals.live, allocated, freed (freed_here: as freed), which are exact where only
				      stacks are sampled; where estimated */
};

/* What allocation events tell. */
struct allocation_view {
	struct ledger_totals totals, before; /* now, and at the previous snapshot (for rates) */
	const struct site_view *sites;       /* those with anything in them, by live bytes, largest first */
	size_t site_cnt;
	const struct site_view *const *by_number; /* window_freed.site → its view; NULL where it has none */
	uint32_t number_cnt;
	uint64_t unattributed;               /* live_heap that no known block accounts for; UNKNOWN */
	const struct survey_result *survey;  /* pins and ages; NULL: none yet */
	uint64_t older_ns;                   /* --older; 0: not asked for */
	uint64_t top;                        /* rows of a table, -T; 0: as the form likes */
	struct stacks_counts stacks;
	struct site_count truncated[STACK_CUT_CNT]; /* allocated, from stacks that could not be followed to their end;
						       STACK_WHOLE: all of these */
	uint64_t sample_bytes;               /* figures of sites are estimates from one stack in so many bytes; 0: exact */
	uint64_t free_sample_bytes;          /* the same of what they freed here */
	struct budget_view budget;
	bool has_objects;                    /* sites has those of objects too */
	const struct objects_view *objects;  /* Python's small objects, which malloc never sees; NULL: not looked at */
};

/* Of Python's objects of up to 512 bytes those that were born while they were looked at. Bytes as pools round them. */
struct objects_view {
	/* Sites, and totals.live of all of them, are estimates where births are sampled. Other totals: those of sampled ones. */
	struct allocation_view sites;
	struct site_count born, died; /* exact, while they were looked at; died: those from before too */
	uint64_t live_heap;           /* of pymalloc, by the walk; UNKNOWN */
	bool on;                      /* they are being looked at, all the time or in cells */
	bool in_cells;                /* … in cells: sites and totals are estimates then, with bounds (heap/estimate.h) */
	double duty;                  /* of its own CPU time since then, what was seen */
	double probe_share;           /* of its CPU time in the last 5 s; negative: not known */
};

/* The figures at one reading of the heap, for time lines; UNKNOWN as in the heap state. */
struct state_sample {
	uint64_t time_ns;
	uint64_t rss, held, resident, live_heap, retained, purgeable, pinned;
	uint64_t live; /* by allocation events; UNKNOWN without */
};

struct history; /* picture/history.h */
struct trend;   /* verdict/trend.h */

/* How many findings there have been since the attach, those that an interval does not list included. */
struct finding_totals {
	struct purge_totals purges;
	uint64_t windows;                /* that counted, an open one too */
	uint64_t opens, repeats;         /* of dlopen */
};

struct snapshot {
	uint64_t time_ns;     /* CLOCK_MONOTONIC; outputs convert (base/clock.h) */
	uint64_t started_ns;  /* the attach */
	uint64_t interval_ns; /* since the previous snapshot */
	pid_t pid;
	const char *command;  /* comm */
	bool final;
	bool gone, killed;    /* the process has ended; … by a signal */
	const char *ended;    /* why it is final: "the target exited with status 0", "interrupted", …; NULL */
	uint64_t rss, shmem;           /* shmem: of rss, memory that others may count in theirs too */
	uint64_t lazy_free, swap;      /* lazy_free UNKNOWN where it would cost too much to read now */
	const struct heap_state *heap; /* taken_ns 0: no walk yet */
	struct returned returned;
	const struct own_return *own_returns; /* of these, what allocators gave back by themselves */
	size_t own_return_cnt;
	/* In an interval: what returned, was open or changed in it. In the final one: all since the attach. */
	const struct purge_finding *const *purges;
	size_t purge_cnt;
	uint64_t purges_total;
	const struct window_finding *windows;
	size_t window_cnt;
	const struct churn_finding *const *churn;
	size_t churn_cnt;
	const struct state_sample *samples; /* readings in the interval, oldest first; the final one has those since the last report */
	size_t sample_cnt;
	const struct mark_finding *const *marks; /* as purges are, oldest first; in an interval those whose reading is known by then */
	size_t mark_cnt;
	uint64_t marks_total;
	const struct mark_tally *mark_tallies; /* by kind, since the attach */
	size_t mark_tally_cnt;
	struct finding_totals totals;
	const struct collector_view *collector; /* NULL: the process's collections are not seen, or it is no CPython */
	const struct collector_gap *gaps;       /* as windows are: of them those that ended or are open in the interval */
	size_t gap_cnt;
	const struct allocation_view *allocs; /* NULL: without allocation events */
	struct names *names; /* who names the locations; NULL: all have their names */
	uint64_t lost[SOURCE_LOSS_CNT];
	const char *const *missing; /* what is not seen, and why */
	size_t missing_cnt;
	const struct cgroup_view *cgroup; /* NULL: not in one that accounts memory */
	const struct history *history; /* how it has come to be, this snapshot included; NULL: not kept */
	const struct trend *trend;     /* figures of some moments of the run, this snapshot included; NULL: not kept */
	bool verdict_is_news;          /* in an interval: the verdict says what none before it said */
	const struct process_rows *processes; /* NULL: it is of one process. Else of many: pid is 0, command their title */
	const pid_t *purge_pids, *window_pids, *mark_pids; /* of many: whose each of purges, windows and marks is */
};

/* The cgroup of what is watched. */
struct cgroup_view {
	const char *path; /* of the cgroup whose memory is accounted */
	struct cgroup_memory memory;
	uint64_t high_events, max_events, oom_kills; /* since the attach */
	bool growing;            /* clearly: detect/limit.h */
	double growth;           /* bytes a second */
	double seconds_to_limit; /* to limit, at that pace; negative: not soon */
	uint64_t limit;          /* bytes: high while below it, else max; CGROUP_NO_LIMIT */
};

/* The processes that a snapshot of many is the sum of. */
struct process_rows {
	const struct snapshot *const *v; /* by PID; those that ended in the interval too */
	size_t cnt;
	const struct snapshot *const *past; /* in the final report: the largest of those that ended before */
	size_t past_cnt;
	size_t living;
	uint64_t came, went; /* in the interval; in the final report since the attach, the first ones not counted */
	uint64_t left_out;   /* were to be watched and are not */
	uint64_t too_short;  /* had ended before they could be looked at */
};

#endif
