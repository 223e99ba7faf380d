/*
 * Which of two is smaller, without a branch: in a search that the verifier follows step by step, each branch
 * would double the ways that it goes.
 */
#ifndef ALLOCTRACE_BELOW_BPF_H
#define ALLOCTRACE_BELOW_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

/* All ones if a < b, else 0. */
static __always_inline u64 is_below(u64 a, u64 b)
{
	u64 borrow = (~a & b) | (~(a ^ b) & (a - b));

	barrier_var(borrow); /* the compiler would know it for a comparison */
	return (u64)((s64)borrow >> 63);
}

#endif
