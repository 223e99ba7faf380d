/*
 * Size steps: classes of block sizes that are as fine as allocators' own, or finer, so that what a walk counts in
 * one and what a ledger knows in it are the same blocks. 8 bytes wide below 1 KiB, above an eighth of a power of
 * two; none spans a power of two. Sizes are bytes as the allocator rounds them.
 */
#ifndef ALLOCTRACE_HEAP_STEPS_H
#define ALLOCTRACE_HEAP_STEPS_H

#include <stdint.h>

#define STEP_LINEAR 128 /* steps below 1 KiB */
#define STEP_CNT    320 /* the last one has all from 15 GiB on */

static inline unsigned size_step(uint64_t bytes)
{
	unsigned power, step;

	if (bytes < 8ULL * STEP_LINEAR)
		return (unsigned)(bytes / 8);
	power = 63 - (unsigned)__builtin_clzll(bytes);
	step = STEP_LINEAR + (power - 10) * 8 + (unsigned)(bytes >> (power - 3) & 7);
	return step < STEP_CNT ? step : STEP_CNT - 1;
}

/* The least size of a step: size_step(size_step_from(i)) == i. */
static inline uint64_t size_step_from(unsigned step)
{
	unsigned above = step - STEP_LINEAR;

	return step < STEP_LINEAR ? 8ULL * step : (8ULL + above % 8) << (above / 8 + 7);
}

#endif
