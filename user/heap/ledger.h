/*
 * The ledger: books every allocation and free, in ring order, into the table of live blocks
 * and the figures of the sites. Totals are exact, sums over all sites where no stack is sampled. It knows
 * nothing of probes: what it must know of the function that an event comes from is given with it.
 *
 *   ledger.c        events → blocks, sites, totals
 *   ledger_cells.c  where only some of the time is seen: estimates (cells.c, cohorts.c, estimate.c)
 *   blocks.c        the table of live blocks
 *   sites.c         figures by stack
 *   survey.c        a pass over the live blocks beside a walk: pins, age, ghosts
 */
#ifndef ALLOCTRACE_HEAP_LEDGER_H
#define ALLOCTRACE_HEAP_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include "event/source.h"
#include "heap/blocks.h"
#include "heap/bounds.h"
#include "heap/sites.h"
#include "heap/steps.h"
#include "heap/walk.h"
#include "probe/allocator.h"

struct ledger_options {
	uint64_t max_memory;         /* bytes for live blocks */
	uint64_t size_min, size_max; /* blocks of other sizes are not booked; inclusive */
	uint64_t began_ns;           /* CLOCK_MONOTONIC: the attach */
	uint64_t sample_bytes; /* stacks are sampled: sites count estimates (heap/sampling.h); 0: all are
				  taken */
	uint64_t free_sample_bytes; /* the same of frees, and of what sites freed here */
};

/* Since the attach. A realloc that moved, grew or shrank a block is one free and one allocation. */
struct ledger_totals {
	struct site_count allocated, freed; /* freed: all frees, of blocks from before the attach too */
	struct site_count
		freed_before; /* of freed: blocks that are not known; bytes: what their headers say */
	struct site_count live;
	struct site_count temporary;
	struct site_count peak;   /* live when it was highest */
	uint64_t peak_ns;         /* CLOCK_MONOTONIC; 0: never any */
	uint64_t live_rounded;    /* live as the allocators round it; UINT64_MAX: one does not say */
	uint64_t failed;          /* calls that got nothing */
	struct site_count ghosts; /* blocks whose free was lost: removed by a walk or by a new block there */
	struct site_count untracked; /* allocated and not in the table: max_memory is reached */
	uint64_t events;             /* booked */
};

struct ledger;

struct ledger *ledger_new(const struct ledger_options *options); /* NULL: no memory */
void ledger_free(struct ledger *ledger);                         /* NULL-safe */
/* Another max_memory from now on. */
void ledger_limit(struct ledger *ledger, uint64_t max_memory);
/*
 * EVENT_ALLOC, FREE, REALLOC_BEGIN, REALLOC, FREE_OWN of the process. allocator, on_null: of the
 * function (head.func); stack: by which its site is known, 0: none. Unknown frees are normal.
 */
void ledger_event(struct ledger *ledger, const struct event *ev, uint64_t stack,
		  const struct allocator *allocator, enum realloc_null on_null);
/*
 * EVENT_CELL of the process. From the first one on that is not sure (or has its stacks sampled in another way
 * than the options say) figures of sites are of what was seen, live ones by weight; estimates of all come from the
 * ledger_estimate functions.
 */
void ledger_cell(struct ledger *ledger, const struct event_cell *cell);
bool ledger_is_estimated(const struct ledger *ledger);
/*
 * While ledger_is_estimated. A site's figures at now_ns (CLOCK_MONOTONIC, of the last event or later), and
 * where they lie: of a site …
 */
void ledger_estimate(struct ledger *ledger, uint32_t number, uint64_t now_ns, struct site *figures,
		     struct site_bounds *bounds);
/*
 * … where they lie, of all sites together. Live blocks' errors are taken to add up. The peak is the highest of the
 * moments that this was asked for at; ghosts, untracked, failed and events are what was seen.
 */
void ledger_estimate_totals(struct ledger *ledger, uint64_t now_ns, struct ledger_totals *totals,
			    struct site_bounds *bounds);

/* The program was replaced by exec: its blocks are gone; neither freed nor live. */
void ledger_exec(struct ledger *ledger);

/* These three see every event so far: valid until the next one. */
const struct ledger_totals *ledger_totals(struct ledger *ledger);
struct sites *ledger_sites(struct ledger *ledger);
struct blocks *ledger_blocks(struct ledger *ledger);
/* As the allocator that was seen last rounds a size; the size itself where that is not known. */
uint64_t ledger_rounded(const struct ledger *ledger, uint64_t size);
uint64_t ledger_began_ns(const struct ledger *ledger);
/* What a block counts at its site: itself, or what it stands for where stacks are sampled (0: nothing). */
struct site_count ledger_at_site(const struct ledger *ledger, const struct block *block);
bool ledger_is_sampled(const struct ledger *ledger);
/* What of a site was live at the peak of the whole; estimated: at that of ledger_estimate_totals. */
struct site_count ledger_at_peak(const struct ledger *ledger, uint32_t number);
/*
 * A walk has found so many blocks live, by size step as the allocator rounds them: where live ones are estimated,
 * they agree with it from now on (heap/raking.h). Not where blocks of some sizes only are booked. pages: of the walk;
 * empty where it has none.
 */
void ledger_walked(struct ledger *ledger, const struct heap_blocks live[STEP_CNT], const struct heap_pages *pages);
/* Bytes in live blocks, at any time and at once; estimated, where there are estimates. */
uint64_t ledger_live(struct ledger *ledger);
/* Of a site's blocks in the table, how many are taken to be alive: 0…1; 1 while nothing is estimated. */
double ledger_share_alive(const struct ledger *ledger, uint32_t number);
/* Removes a block that a walk has proved dead, as a ghost; false: not there any more. */
bool ledger_bury(struct ledger *ledger, uint64_t addr);

#endif
