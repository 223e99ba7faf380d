/*
 * Between what figures of a site lie where they are estimates: 95 % intervals (heap/estimate.h).
 * A site that was never seen has none: it is not zero, but unseen.
 */
#ifndef ALLOCTRACE_HEAP_BOUNDS_H
#define ALLOCTRACE_HEAP_BOUNDS_H

#include "heap/sites.h"

struct bounds {
	struct site_count low, high; /* inclusive; low ≤ the figure ≤ high */
};

struct site_bounds {
	struct bounds live, allocated, freed, freed_here;
};

#endif
