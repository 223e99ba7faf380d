/*
 * Reads what a process and the probes of a stream of it have used so far: what budget/pace.h paces them by.
 */
#ifndef ALLOCTRACE_PROBE_READING_H
#define ALLOCTRACE_PROBE_READING_H

#include <sys/types.h>

#include "budget/pace.h"
#include "probe/cost.h"
#include "probe/gates.h"

struct reader {
	struct gate_fds gates;
	const struct probe_cost *cost;
	struct gate_spent *scratch; /* gates_scratch(); whoever reads has it to himself */
};

/* What /proc tells of user and system time, which is read once a second: all 0 before. */
struct system_time {
	uint64_t read_ns, user_ns, system_ns;
};

/* stream: CELL_BLOCKS, CELL_OBJECTS. before_cpu_ns: its CPU time if it has ended. ours_ns is left 0. */
struct pace_reading reading_take(const struct reader *reader, pid_t pid, uint32_t stream, uint64_t before_cpu_ns,
				 struct system_time *system);

#endif
