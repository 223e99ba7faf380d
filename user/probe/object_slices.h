/*
 * Python's objects in slices of time: a thread that places their probes for a cell, and removes them again, as
 * budget/pace.h decides; between two cells nothing is left in the process.
 *
 * Two hundred probes take 25-80 ms to come and as long to go, and each that stands is hit meanwhile, which would
 * be most of what a cell costs. So those few that have most of the hits come last and go first, once they are known.
 */
#ifndef ALLOCTRACE_PROBE_OBJECT_SLICES_H
#define ALLOCTRACE_PROBE_OBJECT_SLICES_H

#include <stdint.h>
#include <sys/types.h>

#include "budget/pace.h"
#include "probe/keeper.h"
#include "probe/plan.h"
#include "probe/programs.h"

struct object_slices;

struct object_slices_options {
	pid_t pid;
	struct programs *programs; /* these two outlive it */
	struct keeper *keeper;
	enum link_backend backend;
	struct probe_cost cost;
	uint64_t sample_bytes;
	double max_share; /* of the process's CPU time */
};

/* NULL: no memory, no thread. Keeps nothing of obj and plan. */
struct object_slices *object_slices_start(const struct object_slices_options *options, const struct object *obj,
					  const struct plan *plan);
/* NULL-safe; no probe of theirs is left when it returns: up to 0.2 s. */
void object_slices_stop(struct object_slices *slices);
void object_slices_view(struct object_slices *slices, struct pace_view *view);

#endif
