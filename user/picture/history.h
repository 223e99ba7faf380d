/*
 * How the figures went by: fed with the snapshot of every picture in turn (the whole, picture/whole.h),
 * of a running watch or out of a recording, and shown as time lines. What happened at moments (purges,
 * windows, marks, churn) is in the final snapshot, not here.
 *
 * Bounded however long it runs: beyond HISTORY_POINTS points, neighbours become one (the later one's
 * figures; of rss, retained and purgeable the larger, of reopens the sum); beyond HISTORY_STEPS steps or HISTORY_CHANGES
 * changes, neighbouring steps become one (their changes add up).
 */
#ifndef ALLOCTRACE_PICTURE_HISTORY_H
#define ALLOCTRACE_PICTURE_HISTORY_H

#include "picture/snapshot.h"

#define HISTORY_POINTS 4096
#define HISTORY_STEPS 256
#define HISTORY_CHANGES (4u << 20)

/* Bytes at one moment; UNKNOWN where nobody knows. One a reading of the heap, and one a snapshot. */
struct history_point {
	uint64_t time_ns;
	uint64_t rss, held, resident, live_heap, retained, purgeable, pinned;
	uint64_t live;                         /* by allocation events */
	uint64_t allocated, freed;             /* since the attach; of snapshots only, else UNKNOWN */
	uint64_t cgroup_current, cgroup_limit; /* likewise; no limit: UNKNOWN */
	uint64_t reopens;                      /* likewise, since the one before: dlopens that mapped nothing new or failed */
};

/* What the figures of one site changed by in one step, the time between two snapshots. */
struct history_change {
	uint32_t step;
	uint32_t site; /* of the view's sites */
	int64_t live, live_blocks;
	uint64_t allocated, allocs, freed, frees, freed_here; /* bytes and calls, as in struct site */
};

struct history_view {
	const struct history_point *points; /* oldest first */
	size_t point_cnt;
	const struct stack *const *sites; /* each once; NULL: without a stack */
	size_t site_cnt;
	const uint64_t *step_ends; /* CLOCK_MONOTONIC, ns; the first begins at the attach */
	size_t step_cnt;
	const struct history_change *changes; /* by step */
	size_t change_cnt;
	bool incomplete; /* without memory: what is here is true, changes are missing */
};

struct history;

struct history *history_new(void);          /* NULL: no memory */
void history_free(struct history *history); /* NULL-safe */
void history_add(struct history *history, const struct snapshot *s);
/* Valid until the next history_add. */
void history_view(const struct history *history, struct history_view *view);

#endif
