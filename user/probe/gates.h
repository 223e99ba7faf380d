/*
 * The gates of processes (bpf/gate.bpf.h): whether a stream of theirs is recorded, CELL_BLOCKS (which have one
 * under a budget) or CELL_OBJECTS, and what its hits have taken. Functions may be called from several threads;
 * of one gate from one at a time.
 */
#ifndef ALLOCTRACE_PROBE_GATES_H
#define ALLOCTRACE_PROBE_GATES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../bpf/share.h"
#include "event/source.h"
#include "probe/programs.h"

/* A closed one, before the stream is probed. −errno. */
int gates_make(const struct gate_fds *fds, pid_t pid, uint32_t stream);
void gates_drop(const struct gate_fds *fds, pid_t pid, uint32_t stream);
/*
 * Puts the cell's record into the ring, and opens (BEGIN) or closes the gate with it. quota: hits from a BEGIN
 * on after which it closes itself. head.func of the cell is the stream, the rest of the head is filled in here.
 * −errno; −EAGAIN: the ring is full, the gate closed.
 */
int gates_mark(const struct gate_fds *fds, pid_t pid, const struct event_cell *cell, uint64_t quota);
/* So many hits more from now on; false: it has closed itself. */
bool gates_go_on(const struct gate_fds *fds, pid_t pid, uint32_t stream, uint64_t quota);

/* To be called by a thread that has just been woken, before gates_running. */
void gates_see_clock(const struct gate_fds *fds);
/* CPU time (ns) of the process that its clock lacks: it is brought up to date every tick. 0: not known. */
uint64_t gates_running(const struct gate_fds *fds, pid_t pid);

struct gate_sum { /* over all CPUs, cumulative */
	uint64_t entries, returns, stepped, stacks;
	uint64_t program_ns, stack_ns;
	uint64_t user_ns, system_ns;
	uint64_t user_looks, system_looks;
	uint64_t passes[MILESTONES_MAX];
	struct object_counts objects;
};

/* Room for what each CPU has counted, for gates_spent; to be freed by free(). NULL: no memory. */
struct gate_spent *gates_scratch(void);
/* False: there is no such gate. scratch: NULL for room of its own, which it asks for each time. */
bool gates_spent(const struct gate_fds *fds, pid_t pid, uint32_t stream, struct gate_spent *scratch,
		 struct gate_sum *sum);

#endif
