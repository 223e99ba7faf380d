#include "heap/glibc_pages.h"

#include <string.h>

#include "heap/glibc_heap.h"

void glibc_heads_init(struct page_heads *heads, struct memory *mem, const struct maps *maps)
{
	*heads = (struct page_heads){.mem = mem, .maps = maps, .batch = 1};
}

/* The next mapping to look through; false at the end. */
static bool next_mapping(struct page_heads *heads)
{
	while (heads->next_mapping < heads->maps->cnt) {
		const struct mapping *m = &heads->maps->v[heads->next_mapping++];

		if (!glibc_is_heap(m) || !strncmp(m->name, "[stack", 6))
			continue;
		heads->mapping = m;
		heads->at = m->start > heads->skip ? m->start : heads->skip;
		return true;
	}
	return false;
}

/* Reads the heads of up to a batch of pages; pages that vanish meanwhile are left out. */
static void read_batch(struct page_heads *heads)
{
	struct iovec local[HEADS_BATCH], remote[HEADS_BATCH];
	uint64_t start = heads->at, left = heads->mapping->end - start;
	size_t pages = left / TARGET_PAGE_SIZE, cnt = 0;
	ssize_t got;

	if (pages > heads->batch)
		pages = heads->batch;
	heads->batch = heads->batch < HEADS_BATCH ? 2 * heads->batch : HEADS_BATCH;
	heads->at = start + pages * TARGET_PAGE_SIZE;
	heads->cnt = heads->next = 0;
	if (memory_pages(heads->mem, start, heads->at, heads->state) != 0)
		return;
	for (size_t i = 0; i < pages; i++) {
		if (!(heads->state[i] & PAGE_PRESENT))
			continue;
		heads->addr[cnt] = start + i * TARGET_PAGE_SIZE;
		local[cnt] = (struct iovec){heads->word[cnt], sizeof(heads->word[cnt])};
		remote[cnt] = (struct iovec){(void *)(uintptr_t)heads->addr[cnt], sizeof(heads->word[cnt])};
		cnt++;
	}
	got = cnt ? memory_readv(heads->mem, local, cnt, remote, cnt) : 0;
	heads->cnt = got > 0 ? (size_t)got / sizeof(heads->word[0]) : 0;
}

bool glibc_heads_next(struct page_heads *heads, uint64_t *addr, uint64_t words[2])
{
	for (;;) {
		while (heads->next < heads->cnt) {
			size_t i = heads->next++;

			if (heads->addr[i] < heads->skip)
				continue;
			*addr = heads->addr[i];
			memcpy(words, heads->word[i], sizeof(heads->word[i]));
			return true;
		}
		if (heads->mapping && heads->skip > heads->at)
			heads->at = heads->skip;
		if (heads->mapping && heads->at < heads->mapping->end)
			read_batch(heads);
		else if (!next_mapping(heads))
			return false;
	}
}

void glibc_heads_skip(struct page_heads *heads, uint64_t addr)
{
	heads->batch = 1;
	heads->skip = (addr + TARGET_PAGE_SIZE - 1) & ~(TARGET_PAGE_SIZE - 1);
}
