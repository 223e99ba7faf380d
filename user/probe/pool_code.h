/*
 * Where compiled code of CPython's object allocator takes a block from a pool, or puts one back. Pure: bytes
 * in, offsets out. x86-64 (Zydis).
 *
 * Distributions build the interpreter with link-time optimisation and profiles: the allocator has no
 * symbols, and its fast paths stand a hundred times in the functions that use them, behind a comparison
 * of the hook's pointer with the allocator's address. What they do to a pool tells them everywhere
 * (Objects/obmalloc.c, pymalloc_alloc, allocate_from_new_pool, pymalloc_free; the same from 3.8 to 3.14):
 *
 *   take:  ++pool->ref.count; block = pool->freeblock; next = *block; pool->freeblock = next; if (!next) …
 *   give:  last = pool->freeblock; *block = last; pool->freeblock = block; --pool->ref.count; if (!last) …
 *   begin: pool->ref.count = 1; … if (pool->szidx == size) …
 *   carve: pool->ref.count = 1; … pool->szidx = size; …: a compiler that knows of no class leaves the question out
 *
 * The branch at the end is what the kernel emulates (place.h; a pool is not carved off often, and may be seen at
 * an instruction that is not), every block passes it once, and its pool is in
 * a register there; so is a block that was taken, or on the stack, and one that was given is the pool's first free
 * one. Larger blocks, which malloc has, never come by.
 */
#ifndef ALLOCTRACE_PROBE_POOL_CODE_H
#define ALLOCTRACE_PROBE_POOL_CODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../bpf/share.h"

struct pool_place {
	enum pool_act act;
	uint64_t offset;     /* of the instruction */
	unsigned char pool;  /* enum arg_register */
	/* POOL_TAKE: the block, in that register, or ARG_NONE: on the stack; POOL_BEGIN, POOL_CARVE: the class that is
	   wanted. POOL_GIVE: ARG_NONE, it is the pool's first free one. */
	unsigned char block;
	bool stack_by_bp; /* … so far from where rbp points, or rsp */
	int16_t stack;
};

/*
 * Calls fn for each; some may come twice. Instructions are taken to follow each other without a gap. Some 100 ns an
 * instruction.
 */
void pool_code_find(const uint8_t *code, size_t len, void (*fn)(const struct pool_place *place, void *arg),
		    void *arg);

#endif
