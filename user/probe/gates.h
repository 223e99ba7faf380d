/*
 * The gates of processes under a budget (bpf/gate.bpf.h): whether blocks are recorded, and what hits
 * have taken. Functions may be called from several threads; of one process from one at a time.
 */
#ifndef ALLOCTRACE_PROBE_GATES_H
#define ALLOCTRACE_PROBE_GATES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "event/source.h"
#include "probe/programs.h"

/* A closed one, before the process is probed. −errno. */
int gates_make(const struct gate_fds *fds, pid_t pid);
void gates_drop(const struct gate_fds *fds, pid_t pid);
/*
 * Puts the cell's record into the ring, and opens (BEGIN) or closes the gate with it. quota: hits from a BEGIN
 * on after which it closes itself. The head is filled here. −errno; −EAGAIN: the ring is full, the gate closed.
 */
int gates_mark(const struct gate_fds *fds, pid_t pid, const struct event_cell *cell, uint64_t quota);
/* So many hits more from now on; false: it has closed itself. */
bool gates_go_on(const struct gate_fds *fds, pid_t pid, uint64_t quota);

/* To be called by a thread that has just been woken, before gates_running. */
void gates_see_clock(const struct gate_fds *fds);
/* CPU time (ns) of the process that its clock lacks: it is brought up to date every tick. 0: not known. */
uint64_t gates_running(const struct gate_fds *fds, pid_t pid);

struct gate_sum { /* over all CPUs, cumulative */
	uint64_t entries, returns, stepped, stacks;
	uint64_t program_ns, stack_ns;
	uint64_t user_ns, system_ns;
};

/* False: the process has no gate. */
bool gates_spent(const struct gate_fds *fds, pid_t pid, struct gate_sum *sum);

#endif
