#include "heap/pool_look.h"

#include <stdbool.h>
#include <string.h>

#include "heap/pymalloc_heap.h"

#define OVERHEAD sizeof(struct pool_header)
#define BLOCKS_MAX (POOL_SIZE_NEW / 16)

struct pool {
	uint64_t at;
	uint32_t size;  /* bytes; 0: it is none */
	uint32_t block; /* … of its blocks */
	bool gone;      /* nothing is there any more */
	bool known;     /* free[] is right */
	bool free[BLOCKS_MAX];
	uint32_t carved; /* blocks so far */
	char bytes[POOL_SIZE_NEW];
};

/* Not to be read unless it is in RAM. */
static bool is_present(struct memory *mem, uint64_t at, uint32_t size, bool *gone)
{
	uint8_t state[POOL_SIZE_NEW / TARGET_PAGE_SIZE];
	bool present = true;

	*gone = false;
	if (memory_pages(mem, at, at + size, state))
		return false;
	*gone = !(state[0] & (PAGE_PRESENT | PAGE_SWAPPED)); /* a header is written to */
	for (size_t i = 0; i < size / TARGET_PAGE_SIZE; i++)
		present = present && !(state[i] & PAGE_SWAPPED);
	return present && state[0] & PAGE_PRESENT;
}

static bool is_pool_of(const struct pool *pool, const struct pool_header *head)
{
	return head->szidx < POOL_CLASSES && head->nextoffset >= OVERHEAD &&
	       head->maxnextoffset + POOL_CLASS_SIZE(head->szidx) == pool->size &&
	       head->nextoffset <= pool->size &&
	       !((head->nextoffset - OVERHEAD) % POOL_CLASS_SIZE(head->szidx));
}

/* Follows the list of free blocks. What is read is of one moment if it goes with the count. */
static bool follow_list(struct pool *pool, const struct pool_header *head)
{
	uint32_t cnt = 0;

	for (uint64_t at = head->freeblock; at && cnt <= pool->carved; cnt++) {
		uint64_t offset = at - pool->at - OVERHEAD;

		if (offset >= pool->size - OVERHEAD || offset % pool->block ||
		    offset / pool->block >= pool->carved)
			return false;
		pool->free[offset / pool->block] = true;
		memcpy(&at, pool->bytes + OVERHEAD + offset, sizeof(at));
	}
	return cnt + head->count == pool->carved;
}

static bool read_pool(struct memory *mem, struct pool *pool, uint64_t addr, uint32_t size)
{
	struct pool_header head;

	pool->at = addr & ~(uint64_t)(size - 1);
	pool->size = size;
	pool->known = false;
	if (!is_present(mem, pool->at, size, &pool->gone))
		return pool->gone;
	if (memory_read(mem, pool->at, pool->bytes, size) != (ssize_t)size)
		return false;
	memcpy(&head, pool->bytes, sizeof(head));
	if (!is_pool_of(pool, &head))
		return false;
	pool->block = POOL_CLASS_SIZE(head.szidx);
	pool->carved = (uint32_t)((head.nextoffset - OVERHEAD) / pool->block);
	memset(pool->free, 0, sizeof(pool->free));
	pool->known = follow_list(pool, &head);
	return true;
}

static enum pool_verdict judge(const struct pool *pool, uint64_t addr)
{
	uint64_t offset = addr - pool->at - OVERHEAD, number;

	if (pool->gone)
		return POOL_BLOCK_FREE;
	if (!pool->known)
		return POOL_BLOCK_UNKNOWN;
	number = offset / pool->block;
	/* Where its blocks are of another size by now, the old one is gone. */
	if (offset % pool->block || number >= pool->carved || pool->free[number])
		return POOL_BLOCK_FREE;
	return POOL_BLOCK_USED;
}

size_t pool_look(struct memory *mem, const uint64_t *addrs, size_t cnt, size_t max,
		 enum pool_verdict *verdicts)
{
	struct pool pool = {.size = 0};
	size_t i;

	for (i = 0; i < cnt; i++) {
		if (!pool.size || addrs[i] - pool.at >= pool.size) {
			if (!max--)
				break;
			if (!read_pool(mem, &pool, addrs[i], POOL_SIZE_NEW) &&
			    !read_pool(mem, &pool, addrs[i], POOL_SIZE_OLD))
				pool.known = false;
		}
		verdicts[i] = judge(&pool, addrs[i]);
	}
	for (size_t k = i; k < cnt; k++)
		verdicts[k] = POOL_BLOCK_UNKNOWN;
	return i;
}
