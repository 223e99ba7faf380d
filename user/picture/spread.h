/*
 * How far off a sum of estimates is: of parts that err independently of each other, half-widths of their
 * intervals add up as squares. Parts that are exact add none.
 */
#ifndef ALLOCTRACE_PICTURE_SPREAD_H
#define ALLOCTRACE_PICTURE_SPREAD_H

#include <stdbool.h>

#include "heap/bounds.h"

/* The figures that have bounds. */
struct bounded {
	struct site_count live, allocated, freed, freed_here;
};

#define BOUNDED_FIGURES 8

/* Bounds of figure i of struct bounded, as an array. */
static inline uint64_t *bounds_low(struct site_bounds *b, unsigned i)
{
	return (uint64_t *)b + i / 2 * 4 + i % 2;
}

static inline uint64_t *bounds_high(struct site_bounds *b, unsigned i)
{
	return bounds_low(b, i) + 2;
}

struct spread {
	double below[BOUNDED_FIGURES], above[BOUNDED_FIGURES]; /* squares, in the order of struct bounded */
	bool any; /* a part was an estimate */
};

/* bounds NULL: exact. */
void spread_add(struct spread *spread, const struct bounded *figures, const struct site_bounds *bounds);
/* What is live is no part of the sum. */
void spread_forget_live(struct spread *spread);
/* The bounds of that sum; its figures where nothing is known of them. */
void spread_bounds(const struct spread *spread, const struct bounded *sum, struct site_bounds *bounds);

#endif
