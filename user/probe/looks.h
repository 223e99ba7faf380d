/*
 * Looks at who is running: while they are on, a timer stops by on each CPU and counts for the process there (every
 * PACE_LOOK_NS) whether it was in user or in system mode (bpf/gate.bpf.c, gate_look: struct gate_spent's looks), if
 * its gate is open. What the kernel's own ticks tell too, but 40 times as often, and only where it is asked for.
 * Costs some 2 µs a look.
 */
#ifndef ALLOCTRACE_PROBE_LOOKS_H
#define ALLOCTRACE_PROBE_LOOKS_H

struct looks;

/* prog_fd: of gate_look. NULL: none can be had here (no memory, no perf events). */
struct looks *looks_new(int prog_fd);
void looks_free(struct looks *looks); /* NULL-safe */
/* Pairs of both may overlap. NULL-safe. */
void looks_begin(struct looks *looks);
void looks_end(struct looks *looks);

#endif
