/*
 * Keeps processes to a budget: a thread that opens and closes their gates and places and removes the
 * probes of their allocations, as user/budget/pace.h says. What a process has of Python's objects is a stream
 * of its own beside its blocks, with two fifths of the budget (sliced.h), and a pace and cells of its own.
 *
 * The order: probes are placed behind a closed gate, which opens when all stand; it closes before they
 * are removed. The process's CPU time and what hits have taken are read right before a mark. A process whose
 * probes are being looked after (attached_act) is switched a little later.
 */
#ifndef ALLOCTRACE_PROBE_SLICER_H
#define ALLOCTRACE_PROBE_SLICER_H

#include <pthread.h>

#include "budget/pace.h"
#include "probe/attached.h"

struct slicer;

struct slicer_options { /* what it points to must outlive the slicer */
	struct gate_fds gates;
	const struct probe_cost *cost;
	pthread_mutex_t *lock; /* of the processes that it has */
	struct keeper *keeper;
	const struct programs *programs;
	enum link_backend backend;
	double max_share;
	bool stacks_sampled;
	uint64_t sample_bytes, free_sample_bytes;
	uint64_t object_sample_bytes; /* as object_options */
};

/* Starts the thread. −ENOMEM, −errno. */
int slicer_start(const struct slicer_options *options, struct slicer **slicer);
void slicer_stop(struct slicer *slicer); /* NULL-safe; gates stay as they are, no probe is removed */

/*
 * A process whose probes stand and whose gate is closed: its first cell begins. To be removed before the
 * attached is closed. Under the lock, both. −ENOMEM.
 */
int slicer_add(struct slicer *slicer, struct attached *attached);
void slicer_remove(struct slicer *slicer, pid_t pid);
/* What the process has mapped may have changed: whether there are objects to be looked at. Under the lock. */
void slicer_look(struct slicer *slicer, struct attached *attached);

/* Of a stream, CELL_BLOCKS or CELL_OBJECTS. False: there is no such. */
bool slicer_view(struct slicer *slicer, pid_t pid, uint32_t stream, struct pace_view *view);
/* CPU time (ns) that its probes have taken so far, as calibrated; 0: it is not among them. */
uint64_t slicer_probe_ns(struct slicer *slicer, pid_t pid);

#endif
