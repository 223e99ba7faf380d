/*
 * Thread caches. Every arena lists those of its threads (tcache_ql); where that list's head is
 * in arena_t depends on what the library was built with, but an element of it proves itself:
 * it names the arena, and its bins' struct, which names it back.
 */
#include <stdlib.h>
#include <string.h>

#include "heap/jemalloc_heap.h"

#define HEAD_FROM 0x40 /* offsets in arena_t among which the list's head is looked for */
#define HEAD_TO 0x8000
#define CACHES_MAX 65536    /* of one arena */
#define BINS_MAX 128        /* TCACHE_NBINS_MAX is 73 */
#define BIN_BLOCKS_MAX 8191 /* CACHE_BIN_NCACHED_MAX */
#define CACHED_MAX (4UL << 20)

/* tcache_slow_t, include/jemalloc/internal/tcache_structs.h, as far as all of 5.3 agree. */
struct tcache_slow {
	uint64_t next, prev; /* link, a ring */
	uint64_t descriptor_next, descriptor_prev;
	uint64_t bins; /* of the tcache_t, behind its one pointer back here */
	uint64_t arena;
};

/* cache_bin_t, include/jemalloc/internal/cache_bin.h. Its blocks are [head, …) up to where the low bits are.
 */
struct cache_bin {
	uint64_t head;
	uint64_t requests;
	uint16_t low_water, full, empty;
	uint16_t capacity; /* from 5.3.1, else padding */
};

static bool read_slow(struct jemalloc_walk *w, uint64_t addr, uint64_t arena, struct tcache_slow *slow)
{
	uint64_t back;

	return addr % 8 == 0 && addr < ADDRESS_END && window_peek(w->mem, addr, slow, sizeof(*slow)) == 0 &&
	       slow->arena == arena && slow->bins > 8 && slow->bins < ADDRESS_END &&
	       window_peek(w->mem, slow->bins - 8, &back, sizeof(back)) == 0 && back == addr;
}

/* The offset of tcache_ql in an arena that has threads; 0: it has none, or there is no such list. */
static uint64_t find_list(struct jemalloc_walk *w, uint64_t arena)
{
	for (uint64_t off = HEAD_FROM; off < HEAD_TO; off += 8) {
		const uint64_t *head = page_cache_at(&w->cache, arena + off, sizeof(*head));
		const struct mapping *m = head && *head ? maps_find(w->maps, *head) : NULL;
		struct tcache_slow slow;

		if (m && m->write && read_slow(w, *head, arena, &slow))
			return off;
	}
	return 0;
}

static void add_cached(struct jemalloc_walk *w, uint64_t block, unsigned class)
{
	if (w->cached_cnt == w->cached_cap) {
		size_t cap = w->cached_cap ? 2 * w->cached_cap : 1024;
		struct jemalloc_cached *more =
			cap <= CACHED_MAX ? realloc(w->cached, cap * sizeof(*more)) : NULL;

		if (!more) {
			w->out->estimate = true;
			return;
		}
		w->cached = more;
		w->cached_cap = cap;
	}
	w->cached[w->cached_cnt++] = (struct jemalloc_cached){block, class};
}

/* The blocks on one bin's stack; false: it is none. */
static bool read_bin(struct jemalloc_walk *w, const struct cache_bin *bin, unsigned class)
{
	size_t cnt = (uint16_t)(bin->empty - (uint16_t)bin->head) / 8;
	uint64_t blocks[512];

	if (!bin->head || bin->head % 8 || bin->head >= ADDRESS_END || cnt > BIN_BLOCKS_MAX)
		return false;
	for (size_t done = 0; done < cnt;) {
		size_t some = cnt - done < 512 ? cnt - done : 512;

		if (window_peek(w->mem, bin->head + 8 * done, blocks, 8 * some) != 0)
			break;
		for (size_t i = 0; i < some; i++)
			add_cached(w, blocks[i], class);
		done += some;
	}
	return true;
}

static void read_bins(struct jemalloc_walk *w, uint64_t addr)
{
	struct cache_bin bin;

	for (unsigned class = 0; class < BINS_MAX; class ++) {
		if (window_peek(w->mem, addr + class * sizeof(bin), &bin, sizeof(bin)) != 0 ||
		    !read_bin(w, &bin, class))
			break;
	}
}

static void read_list(struct jemalloc_walk *w, uint64_t arena)
{
	const uint64_t *first = page_cache_at(&w->cache, arena + w->heap->tcache_list, sizeof(*first));
	uint64_t head = first ? *first : 0, at = head;
	struct tcache_slow slow;

	for (unsigned i = 0; at && i < CACHES_MAX; i++) {
		/* A thread that ends just now takes its cache out of the list. */
		if (!read_slow(w, at, arena, &slow)) {
			w->out->retries++;
			break;
		}
		read_bins(w, slow.bins);
		at = slow.next;
		if (at == head)
			break;
	}
}

static int by_block(const void *x, const void *y)
{
	uint64_t a = ((const struct jemalloc_cached *)x)->block,
		 b = ((const struct jemalloc_cached *)y)->block;

	return (a > b) - (a < b);
}

void jemalloc_collect_cached(struct jemalloc_walk *w)
{
	for (unsigned i = 0; !w->heap->tcache_list && i < ARENA_CNT; i++)
		if (w->arenas[i].addr)
			w->heap->tcache_list = find_list(w, w->arenas[i].addr);
	/* Without statistics (--disable-stats) arenas keep no list: what is cached counts as live. */
	if (!w->heap->tcache_list) {
		w->out->estimate = true;
		return;
	}
	for (unsigned i = 0; i < ARENA_CNT; i++)
		if (w->arenas[i].addr)
			read_list(w, w->arenas[i].addr);
	if (w->cached_cnt)
		qsort(w->cached, w->cached_cnt, sizeof(*w->cached), by_block);
}
