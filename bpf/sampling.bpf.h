/*
 * Sampling by bytes: a Poisson process over the bytes that pass, so that a block of n bytes is
 * taken with probability 1 − e^(−n/mean), whatever came before, and what is taken can be
 * scaled to an unbiased estimate (user/heap/sampling.h).
 */
#ifndef ALLOCTRACE_SAMPLING_BPF_H
#define ALLOCTRACE_SAMPLING_BPF_H

#include "distance.bpf.h"

/* Bytes until the next sample, of each CPU: to a process without memory it is one who counts. 0: not drawn
 * yet. */
struct distance {
	s64 allocs, frees;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, u32);
	__type(value, struct distance);
	__uint(max_entries, 1);
} distances SEC(".maps");

/* Set by the loader. */
const volatile __u64 sample_bytes = 0, free_sample_bytes = 0; /* the means; 0: everything is taken */
const volatile __u16 log2_fractions[SAMPLING_FRACTIONS] = {};

static __always_inline struct distance *distance(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&distances, &zero);
}

/* Whether the stack of this allocation is to be taken. */
static __always_inline bool samples_alloc(u64 size)
{
	struct distance *left = sample_bytes ? distance() : NULL;

	return !left || is_reached(&left->allocs, size, sample_bytes);
}

/* … of this free. header: the word before the block, EVENT_SIZE_KNOWN (of size bytes), or 0. */
static __always_inline bool samples_free(u64 header, u64 size)
{
	struct distance *left = free_sample_bytes ? distance() : NULL;

	if (!left)
		return true;
	if (!header)
		return !(bpf_get_prandom_u32() % SAMPLING_FREES);
	return is_reached(&left->frees, header == EVENT_SIZE_KNOWN ? size : SAMPLING_HEADER_BYTES(header),
			  free_sample_bytes);
}

#endif
