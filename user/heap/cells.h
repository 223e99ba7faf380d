/*
 * What is booked of blocks while they are recorded in cells only (bpf/event.h: EVENT_CELL), and what it says of
 * all of them. The ledger makes one at the first cell that is not sure and tells it of every change from
 * then on. How figures are estimated: heap/estimate.h.
 */
#ifndef ALLOCTRACE_HEAP_CELLS_H
#define ALLOCTRACE_HEAP_CELLS_H

#include <stdbool.h>
#include <stdint.h>

#include "../bpf/event.h"
#include "heap/before.h"
#include "heap/blocks.h"
#include "heap/bounds.h"
#include "heap/sites.h"
#include "heap/steps.h"
#include "heap/walk.h"

struct cells;

enum cells_leave {
	CELLS_FREED,
	CELLS_TEMPORARY, /* freed by the next event of the thread */
	CELLS_REPLACED,  /* another was allocated there: its free was not seen */
	CELLS_BURIED,    /* a walk has found it dead, or it was lost in another way */
};

/*
 * The sites' figures are exact so far. NULL: no memory. All must outlive it. *rounded: how the allocator rounds
 * sizes; NULL: nobody knows.
 */
struct cells *cells_new(struct sites *sites, struct blocks *blocks, struct before *before,
			uint64_t (*const *rounded)(uint64_t size));
void cells_free(struct cells *cells); /* NULL-safe */

/* tick: of that moment; blocks that are born from now on have it at least. */
void cells_begin(struct cells *cells, const struct event_cell *begin, uint32_t tick);
/* The blocks of the cell get their weights. */
void cells_end(struct cells *cells, const struct event_cell *end);
/* Books what a sure cell has had so far. */
void cells_settle(struct cells *cells);

/* Group and weight of a block that is allocated now, at its site and tick. */
void cells_weigh(const struct cells *cells, struct block *block);
/* It is booked; tracked: it is in the table. counts: at its site by its weight by now. */
void cells_born(struct cells *cells, const struct block *block, struct site_count counts, bool tracked);
/* It has left the table. */
void cells_left(struct cells *cells, const struct block *block, struct site_count counts, enum cells_leave why);
/* Whether what is not seen now has not happened. */
bool cells_see_all(const struct cells *cells);
void cells_freed_here(struct cells *cells, uint32_t site, struct site_count counts);
/* The program is another one: nothing is live any more. */
void cells_exec(struct cells *cells);
struct site_count cells_at_site(const struct cells *cells, const struct block *block);

/* Estimates at that time (CLOCK_MONOTONIC) in place of the figures of a site, and their bounds. */
void cells_site(struct cells *cells, uint32_t number, uint64_t now_ns, struct site *figures,
		struct site_bounds *bounds);
/*
 * The same of all sites together; *figures: the sum of sites as they are booked. Where it is more than there ever
 * was, it is the peak from now on.
 */
void cells_all(struct cells *cells, uint64_t now_ns, struct site *figures, struct site_bounds *bounds);
/* A walk has found so many blocks live, by size step as the allocator rounds them: estimates agree with it. */
void cells_walked(struct cells *cells, const struct heap_blocks live[STEP_CNT]);
/* What is live by now, about: bytes; to be asked for at any time. */
uint64_t cells_alive(const struct cells *cells);
/* Of the blocks of a site that are in the table, by weight, how many are taken to be alive: 0…1. */
double cells_share_alive(struct cells *cells, uint32_t number);

/* The peak from before there were cells. */
void cells_peak_was(struct cells *cells, struct site_count live, uint64_t time_ns);
void cells_site_peak_was(struct cells *cells, uint32_t number, struct site_count live);
struct site_count cells_peak(const struct cells *cells, uint64_t *time_ns);
struct site_count cells_site_peak(const struct cells *cells, uint32_t number);

#endif
