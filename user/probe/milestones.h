/*
 * Milestones: places in a process's own code that it passes now and then, and that stand whether its allocations are
 * probed or not. They tell how far it has come in a cell, which nothing else does: probes stretch CPU time and user
 * time alike, and by how much depends on its caches; how often it comes by a milestone is as the program has it.
 *
 * They are calls on the stacks of its own allocations (call_site.h): best is what calls the allocator itself and has
 * so small a part of all allocations that some thousands a second are expected there; else calls further out, which
 * are tried, the rarest first. A place that is passed too often is taken out within some 10 ms; what all of them cost
 * is some thousandth of its CPU time.
 *
 * Of one process. milestones_note is the tracer's thread's, all else the slicer's.
 */
#ifndef ALLOCTRACE_PROBE_MILESTONES_H
#define ALLOCTRACE_PROBE_MILESTONES_H

#include <stdint.h>
#include <sys/types.h>

#include "event/source.h"
#include "probe/gates.h"
#include "probe/keeper.h"

struct milestones;

/* What they are placed with. */
struct milestone_ground {
	struct keeper *keeper;
	enum link_backend backend;
	struct gate_fds gates;
};

/* What is known of the process when they are looked after. */
struct milestone_view {
	double allocs;   /* a second of its own CPU time, about */
	uint64_t cpu_ns; /* its CPU time so far */
	uint64_t passes[MILESTONES_MAX]; /* so far */
};

struct milestones *milestones_new(pid_t pid); /* NULL: no memory */
void milestones_free(struct milestones *ms);  /* NULL-safe; their links have been dropped */

/* An event of the process's. */
void milestones_note(struct milestones *ms, const struct event *ev);
/* Places one or takes one out, if need be: some milliseconds. To be called while its allocations are not probed. */
void milestones_turn(struct milestones *ms, const struct milestone_ground *ground, const struct milestone_view *view);
/* Takes them out, not waited for; from then on all is begun anew. */
void milestones_drop(struct milestones *ms, struct keeper *keeper);
/* Another number for each set of them that stands; 0: none do. */
uint32_t milestones_set(const struct milestones *ms);

#endif
