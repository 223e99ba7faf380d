#include "heap/page_cache.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LINE_BYTES (CACHE_LINE_PAGES * TARGET_PAGE_SIZE)
#define NO_LINE 1 /* no line begins there */

int page_cache_init(struct page_cache *cache, struct memory *mem)
{
	cache->mem = mem;
	cache->data = malloc(CACHE_LINES * LINE_BYTES);
	for (size_t i = 0; i < CACHE_LINES; i++)
		cache->line[i] = NO_LINE;
	return cache->data ? 0 : -ENOMEM;
}

void page_cache_free(struct page_cache *cache)
{
	free(cache->data);
	cache->data = NULL;
}

static size_t place_of(uint64_t line)
{
	return line / LINE_BYTES % CACHE_LINES;
}

/* Reads the present pages, a segment each, and says which have come. */
static uint8_t load(struct page_cache *cache, uint64_t line, char *data)
{
	struct iovec local[CACHE_LINE_PAGES], remote[CACHE_LINE_PAGES];
	uint8_t state[CACHE_LINE_PAGES], present = 0;
	unsigned page[CACHE_LINE_PAGES];
	size_t cnt = 0;
	ssize_t got;

	if (memory_pages(cache->mem, line, line + LINE_BYTES, state) != 0)
		return 0;
	for (unsigned i = 0; i < CACHE_LINE_PAGES; i++) {
		if (!(state[i] & PAGE_PRESENT))
			continue;
		local[cnt] = (struct iovec){data + i * TARGET_PAGE_SIZE, TARGET_PAGE_SIZE};
		remote[cnt] =
			(struct iovec){(void *)(uintptr_t)(line + i * TARGET_PAGE_SIZE), TARGET_PAGE_SIZE};
		page[cnt++] = i;
	}
	got = cnt ? memory_readv(cache->mem, local, cnt, remote, cnt) : 0;
	for (size_t i = 0; i < cnt && got >= (ssize_t)((i + 1) * TARGET_PAGE_SIZE); i++)
		present |= (uint8_t)(1U << page[i]);
	return present;
}

const void *page_cache_at(struct page_cache *cache, uint64_t addr, size_t len)
{
	uint64_t line = addr & ~(LINE_BYTES - 1), off = addr - line;
	size_t place = place_of(line);
	char *data = cache->data + place * LINE_BYTES;

	if (addr % TARGET_PAGE_SIZE + len > TARGET_PAGE_SIZE)
		return NULL;
	if (cache->line[place] != line) {
		cache->present[place] = load(cache, line, data);
		cache->line[place] = line;
	}
	return cache->present[place] >> off / TARGET_PAGE_SIZE & 1 ? data + off : NULL;
}

bool page_cache_copy(struct page_cache *cache, uint64_t addr, void *buf, size_t len)
{
	char *to = buf;

	while (len) {
		size_t room = TARGET_PAGE_SIZE - addr % TARGET_PAGE_SIZE, some = len < room ? len : room;
		const void *from = page_cache_at(cache, addr, some);

		if (!from)
			return false;
		memcpy(to, from, some);
		to += some;
		addr += some;
		len -= some;
	}
	return true;
}
