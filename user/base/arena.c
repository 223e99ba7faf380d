#include "base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>

#define BLOCK_SIZE (64u << 10) /* what is larger has a block of its own */
#define ALIGNED(size) (((size) + alignof(max_align_t) - 1) / alignof(max_align_t) * alignof(max_align_t))

struct arena_block {
	struct arena_block *next;
	size_t used, size;
	alignas(max_align_t) char room[];
};

static struct arena_block *block_of(struct arena *a, size_t size)
{
	struct arena_block *block = a->blocks;

	if (block && block->size - block->used >= size)
		return block;
	size = size > BLOCK_SIZE ? size : BLOCK_SIZE;
	block = calloc(1, sizeof(*block) + size);
	if (!block)
		return NULL;
	block->size = size;
	block->next = a->blocks;
	a->blocks = block;
	return block;
}

void *arena_get(struct arena *a, size_t size)
{
	struct arena_block *block;
	void *got;

	if (size > SIZE_MAX / 2 || (a->max && (a->used > a->max || size > a->max - a->used)))
		return NULL;
	size = ALIGNED(size ? size : 1);
	block = block_of(a, size);
	if (!block)
		return NULL;
	got = block->room + block->used;
	block->used += size;
	a->used += size;
	return got;
}

void arena_reset(struct arena *a)
{
	while (a->blocks) {
		struct arena_block *next = a->blocks->next;

		free(a->blocks);
		a->blocks = next;
	}
	a->used = 0;
}
