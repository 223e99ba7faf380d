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

enum pool_sight { SIGHT_POOL, SIGHT_NO_POOL, SIGHT_ABSENT, SIGHT_UNREAD };

/* What is in RAM of it; pages that were never touched hold nothing. */
static enum pool_sight read_pages(struct memory *mem, struct pool *pool)
{
	uint8_t state[POOL_SIZE_NEW / TARGET_PAGE_SIZE];
	size_t cnt = pool->size / TARGET_PAGE_SIZE;

	if (memory_pages(mem, pool->at, pool->at + pool->size, state))
		return SIGHT_UNREAD;
	if (!(state[0] & (PAGE_PRESENT | PAGE_SWAPPED))) /* a header is written to */
		return SIGHT_ABSENT;
	for (size_t i = 0; i < cnt; i++) {
		char *bytes = pool->bytes + i * TARGET_PAGE_SIZE;

		if (state[i] & PAGE_SWAPPED)
			return SIGHT_UNREAD;
		if (!(state[i] & PAGE_PRESENT))
			memset(bytes, 0, TARGET_PAGE_SIZE);
		else if (memory_read(mem, pool->at + i * TARGET_PAGE_SIZE, bytes, TARGET_PAGE_SIZE) !=
			 (ssize_t)TARGET_PAGE_SIZE)
			return SIGHT_UNREAD;
	}
	return SIGHT_POOL;
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

static enum pool_sight read_pool(struct memory *mem, struct pool *pool, uint64_t addr, uint32_t size)
{
	struct pool_header head;
	enum pool_sight sight;

	pool->at = addr & ~(uint64_t)(size - 1);
	pool->size = size;
	sight = read_pages(mem, pool);
	if (sight != SIGHT_POOL)
		return sight;
	memcpy(&head, pool->bytes, sizeof(head));
	if (!is_pool_of(pool, &head))
		return SIGHT_NO_POOL;
	pool->block = POOL_CLASS_SIZE(head.szidx);
	pool->carved = (uint32_t)((head.nextoffset - OVERHEAD) / pool->block);
	memset(pool->free, 0, sizeof(pool->free));
	pool->known = follow_list(pool, &head);
	return SIGHT_POOL;
}

/* Of either size. A block whose own page is not there is gone with its arena, if that had no larger pools. */
static void find_pool(struct memory *mem, struct pool *pool, uint64_t addr)
{
	enum pool_sight larger, smaller;

	pool->known = pool->gone = false;
	larger = read_pool(mem, pool, addr, POOL_SIZE_NEW);
	if (larger == SIGHT_POOL)
		return;
	smaller = read_pool(mem, pool, addr, POOL_SIZE_OLD);
	pool->gone = smaller == SIGHT_ABSENT && (larger == SIGHT_ABSENT || larger == SIGHT_NO_POOL);
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
			find_pool(mem, &pool, addrs[i]);
		}
		verdicts[i] = judge(&pool, addrs[i]);
	}
	for (size_t k = i; k < cnt; k++)
		verdicts[k] = POOL_BLOCK_UNKNOWN;
	return i;
}
