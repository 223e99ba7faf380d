/*
 * CPython's garbage collector: what its runs came to, and gaps: times in which the program freed much, again
 * and again, and no full collection ran between. Fed with collections, purges and heap states, in time order.
 *
 * A freeing phase is a fall of live by more than the threshold (that of windows). It begins with the last state
 * that is within an eighth of that of the highest, and ends with the lowest before live has risen by as much again.
 * A gap begins with a phase, unless a full collection has ended since the phase began, and it ends with the
 * next full collection. It counts from its second phase on, and is flagged when live at the lowest of its last phase
 * exceeds live at the lowest of its first by more than the threshold: then something is kept from phase to
 * phase, which a collection frees if it hangs in reference cycles.
 */
#ifndef ALLOCTRACE_DETECT_COLLECTOR_H
#define ALLOCTRACE_DETECT_COLLECTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../bpf/event.h"

#define COLLECTOR_GENERATIONS 3
#define COLLECTOR_FULL (COLLECTOR_GENERATIONS - 1) /* the run that goes through all objects */
#define COLLECTOR_GAPS_KEPT 1000

struct collector_runs {
	uint64_t cnt;
	uint64_t collected; /* objects found in unreachable cycles */
	uint64_t ns, longest_ns;
};

struct collector_gap {
	uint64_t start_ns;
	uint64_t end_ns;    /* 0: still open */
	uint64_t phases;
	uint64_t purges;    /* in it */
	uint64_t live_first, live_last; /* bytes, at the lowest of the first phase and of the last */
	uint64_t collected; /* objects, by the full collection that ended it */
	bool by_collection; /* it was one that ended it, not an exec */
	bool flagged;
};

/* What outputs show. */
struct collector_view {
	struct collector_runs runs[COLLECTOR_GENERATIONS];
	uint64_t last_full_ns;   /* its end; 0: none yet */
	uint64_t purges;         /* those of which it is known whether a full collection came before: after the purge before */
	uint64_t purges_without; /* of these, those with none */
	const struct collector_gap *gaps; /* those that count, oldest first; an open one last */
	size_t gap_cnt;
};

struct collector_sample {
	uint64_t time_ns;
	uint64_t live;      /* bytes; UNKNOWN: the sample is skipped */
	uint64_t threshold; /* bytes, see window_threshold */
};

struct collector;

struct collector *collector_new(void);
void collector_free(struct collector *c); /* NULL-safe */
void collector_run(struct collector *c, const struct event_collection *ev);
void collector_purge(struct collector *c, uint64_t time_ns); /* its begin */
void collector_sample(struct collector *c, const struct collector_sample *sample);
/* Another program: nothing of the old one's memory is there any more. */
void collector_exec(struct collector *c, uint64_t time_ns);
/* Valid until the next call. */
const struct collector_view *collector_look(struct collector *c);

#endif
