/* Stacks taken behind a gate: what they take is counted there. */
#ifndef ALLOCTRACE_COUNTED_STACK_BPF_H
#define ALLOCTRACE_COUNTED_STACK_BPF_H

#include "frames.bpf.h"
#include "gate.bpf.h"

static __always_inline u64 counted_stack(struct pt_regs *ctx, struct passage *passage, u64 pid_tgid,
					 enum stack_begin begin)
{
	struct gate_spent *spent = passage->spent;
	u64 from = passage->began ? bpf_ktime_get_ns() : 0, id = take_stack(ctx, pid_tgid, begin);

	if (spent) {
		spent->stacks++;
		if (from) {
			spent->stack_ns += gate_timed(from);
			passage->began += 2 * clock_reading_ns;
		}
	}
	return id;
}

#endif
