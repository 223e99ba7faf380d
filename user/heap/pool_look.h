/*
 * Which of some blocks are free, by the pools of CPython's object allocator that they lie in. What is free is
 * dead for sure; what is in use may be another block by now.
 */
#ifndef ALLOCTRACE_HEAP_POOL_LOOK_H
#define ALLOCTRACE_HEAP_POOL_LOOK_H

#include <stddef.h>
#include <stdint.h>

#include "target/memory.h"

enum pool_verdict {
	POOL_BLOCK_UNKNOWN, /* its pool changed meanwhile, is swapped out, or not looked at any more */
	POOL_BLOCK_USED,
	POOL_BLOCK_FREE,
};

/* addrs: in order. Looks at up to max pools: how many addresses that was enough for, the rest is unknown. */
size_t pool_look(struct memory *mem, const uint64_t *addrs, size_t cnt, size_t max, enum pool_verdict *verdicts);

#endif
