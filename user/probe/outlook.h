/*
 * Where attaching would place probes in a process, and what its calls would cost: nothing is
 * attached. One row a probed function, in the order of the objects.
 */
#ifndef ALLOCTRACE_PROBE_OUTLOOK_H
#define ALLOCTRACE_PROBE_OUTLOOK_H

#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "probe/functions.h"
#include "probe/missing.h"
#include "probe/place.h"
#include "probe/tracer.h"
#include "target/maps.h"
#include "target/objects.h"

struct outlook_probe {
	const struct traced_function *function;
	char instruction[PLACE_TEXT_MAX]; /* the probed one */
	/*
	 * Of one call, ns: of allocations and frees as it was found out; of others at least that,
	 * since what their programs do beside the hit is not in it. Negative: not known.
	 */
	double cost;
};

struct outlook { /* owns all that it points to */
	struct outlook_probe *v;
	size_t cnt;
	struct functions *functions;
	struct missing *missing; /* what would not be seen */
};

struct outlook_options {
	const struct log *log;
	const struct allocator *const *more; /* beside the known ones (allocator_nth) */
	bool return_probes;
	const struct probe_cost *cost; /* NULL: not known */
};

/* maps and objects: of the process. 0 or −ENOMEM; outlook_free in any case. */
int outlook_make(const struct outlook_options *options, const struct maps *maps, struct objects *objects,
		 struct outlook *outlook);
void outlook_free(struct outlook *outlook); /* idempotent */

#endif
