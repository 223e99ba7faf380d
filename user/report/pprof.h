/*
 * Profiles as pprof has them (report/pprof.proto): all weights of all sites at once, one value each a
 * stack; what is not known is left out. Written in pieces, which together are one message: what it
 * takes of memory is the tables of locations and names, not the stacks.
 */
#ifndef ALLOCTRACE_REPORT_PPROF_H
#define ALLOCTRACE_REPORT_PPROF_H

#include <stdio.h>

#include "report/since.h"
#include "picture/snapshot.h"
#include "picture/weight.h"

/* As the tools that read it want a file: compressed by gzip. 0, or −errno. */
int report_pprof(FILE *out, const struct snapshot *s);

struct pprof_choice {
	struct since *since; /* what happened is that since then (report/since.h); NULL: since the attach */
	size_t stacks_max;   /* the heaviest, others as one, so that sums stay; 0: all */
};
/* The same as it is. */
int pprof_put(FILE *out, const struct snapshot *s, const struct pprof_choice *choice);

/* A type of its values: "live" in "bytes", "live_objects" in "count"; is_sum: what happened, not what is. */
struct pprof_type {
	const char *name, *unit;
	enum site_weight weight;
	bool blocks, is_sum;
};
#define PPROF_TYPES_MAX (2 * WEIGHT_CNT)
extern const struct pprof_type pprof_types[]; /* ended by one without name */

#endif
