/*
 * The bounds of sites whose figures are estimates, picture by picture. Under an estimate they all move a
 * little with each, so that to store them all would let a recording grow with its length: in a picture that
 * goes by, only those are stored that an output of it shows or judges (SITE_BOUNDS_SHOWN); in a process's
 * last one all.
 *
 * A site that changed is: its number less that of the one before it (0 ends the list); 4 × bits + kind; and for
 * each bit a difference to what was last stored of it, zigzag, modulo 2^64: of the 8 distances of lower bounds
 * from their figures, in the order of struct bounded, then of what those of the upper bounds are beyond these,
 * which is mostly nothing. One that an output shows no longer becomes an estimate without bounds.
 */
#ifndef ALLOCTRACE_RECORD_SITE_BOUNDS_H
#define ALLOCTRACE_RECORD_SITE_BOUNDS_H

#include "picture/spread.h"
#include "picture/snapshot.h"
#include "record/codec.h"

#define SITE_BOUNDS_SHOWN 256 /* by live bytes, and as many by what they freed; more where a table has more rows */

enum bound_kind {
	BOUND_EXACT,
	BOUND_ESTIMATE, /* by how much it may be off is not stored */
	BOUND_STORED,
	BOUND_KIND_CNT
};

struct bound_state {
	uint64_t below[BOUNDED_FIGURES], above[BOUNDED_FIGURES]; /* distances from the figures */
	enum bound_kind kind;
};

struct bound_states { /* all zero: all are exact */
	struct bound_state *v; /* by number */
	uint32_t cnt, cap;
};

void bound_states_free(struct bound_states *states); /* idempotent */
/* Stores how allocs differ, and brings states up to date. all: of every site. */
void write_site_bounds(struct codec *c, struct bound_states *states, const struct allocation_view *allocs,
		       bool all);
/* Brings states up to date; left: bytes that they may still take, in all processes. */
void read_site_bounds(struct codec *c, struct bound_states *states, size_t *left);
/* Those of a site with these figures, in *bounds, from 0 to UNKNOWN where they were not stored. NULL: it is exact. */
const struct site_bounds *bound_states_view(const struct bound_states *states, uint32_t number,
					    const struct site *figures, struct site_bounds *bounds);

#endif
