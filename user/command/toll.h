/*
 * What a process's probes take of its CPU time, and what we use ourselves beside that: shares of the
 * last 5 s. Under a budget the slicer knows the former better (tracer_pace).
 */
#ifndef ALLOCTRACE_COMMAND_TOLL_H
#define ALLOCTRACE_COMMAND_TOLL_H

#include <stdint.h>

#include "budget/account.h"
#include "probe/tracer.h"
#include "target/process.h"

struct toll {
	struct account probes, ours; /* spent.probe: what these take; cpu: what the process uses */
	uint64_t time_ns, cpu_ns, probe_ns, our_ns; /* at the last look; time_ns 0: none yet */
};

/* Several times a second. */
void toll_tick(struct toll *toll, struct tracer *tracer, const struct process *process);
/* Negative: not known yet. */
double toll_probe_share(const struct toll *toll);
double toll_our_share(const struct toll *toll);

#endif
