/* Distances between samples, in bytes: what sampling.bpf.h is made of. */
#ifndef ALLOCTRACE_DISTANCE_BPF_H
#define ALLOCTRACE_DISTANCE_BPF_H

#include "events.bpf.h"

extern const volatile __u16 log2_fractions[SAMPLING_FRACTIONS]; /* sampling.bpf.h */

/* −ln of a random number from 0 to 1, times the mean; at least 1. */
static __always_inline s64 draw_distance(u64 mean)
{
	u32 random = bpf_get_prandom_u32() | 1, zeros = 0;
	u64 log2;

#pragma unroll
	for (u32 bits = 16; bits; bits /= 2) {
		if (random >> (32 - bits))
			continue;
		random <<= bits;
		zeros += bits;
	}
	log2 = ((u64)(zeros + 1) << 16) - log2_fractions[random >> 23 & (SAMPLING_FRACTIONS - 1)];
	return (s64)((log2 * 45426 >> 16) * mean >> 16) + 1; /* ln 2 = 45426 / 2^16 */
}

static __always_inline bool is_reached(s64 *left, u64 bytes, u64 mean)
{
	if (!*left)
		*left = draw_distance(mean);
	*left -= (s64)sampled_bytes(bytes);
	if (*left > 0)
		return false;
	*left = draw_distance(mean);
	return true;
}

#endif
