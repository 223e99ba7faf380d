/*
 * Sampling by bytes: a Poisson process over the bytes that pass, so that a block of n bytes is
 * taken with probability 1 − e^(−n/mean), whatever came before, and what is taken can be
 * scaled to an unbiased estimate (user/heap/sampling.h).
 */
#ifndef ALLOCTRACE_SAMPLING_BPF_H
#define ALLOCTRACE_SAMPLING_BPF_H

#include "distance.bpf.h"
#include "gate.bpf.h"

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

/* Under a budget, what a process has left and its means; else those of all. */
static __always_inline s64 *alloc_distance(const struct passage *passage, u64 *mean)
{
	struct distance *left;

	if (passage->spent) {
		*mean = passage->gate->sample_bytes;
		return *mean ? &passage->spent->allocs : NULL;
	}
	*mean = sample_bytes;
	left = sample_bytes ? distance() : NULL;
	return left ? &left->allocs : NULL;
}

static __always_inline s64 *free_distance(const struct passage *passage, u64 *mean)
{
	struct distance *left;

	if (passage->spent) {
		*mean = passage->gate->free_sample_bytes;
		return *mean ? &passage->spent->frees : NULL;
	}
	*mean = free_sample_bytes;
	left = free_sample_bytes ? distance() : NULL;
	return left ? &left->frees : NULL;
}

/* Whether reallocations' old blocks have samples of their own. */
static __always_inline bool samples_stacks(const struct passage *passage)
{
	return passage->gate ? passage->gate->sample_bytes != 0 : sample_bytes != 0;
}

/* Whether the stack of this allocation is to be taken. */
static __always_inline bool samples_alloc(const struct passage *passage, u64 size)
{
	u64 mean;
	s64 *left = alloc_distance(passage, &mean);

	return !left || is_reached(left, size, mean);
}

/* … of this free. header: the word before the block, EVENT_SIZE_KNOWN (of size bytes), or 0. */
static __always_inline bool samples_free(const struct passage *passage, u64 header, u64 size)
{
	u64 mean;
	s64 *left = free_distance(passage, &mean);

	if (!left)
		return true;
	if (!header)
		return !(bpf_get_prandom_u32() % SAMPLING_FREES);
	return is_reached(left, header == EVENT_SIZE_KNOWN ? size : SAMPLING_HEADER_BYTES(header), mean);
}

#endif
