/*
 * Free chunks that look used: fastbins, and the caches of threads. A tcache struct is found
 * without thread-local storage: it is a chunk of one size whose every list is as long as its
 * counter says and holds chunks of the right size only.
 */
#include <stdlib.h>
#include <string.h>

#include "heap/glibc_heap.h"

#define PAGE_SLOTS 256              /* pages kept while lists are followed: 1 MB */
#define TCACHE_TRIES 3              /* at a struct that changes while it is read */
#define TCACHE_STEPS_MAX (1U << 20) /* along all lists of all threads; 448 a thread are usual */

/* ---- fastbins ---- */

/* Lists are followed word by word: neighbours freed together lie on one page. */
struct page_cache {
	struct memory *mem;
	uint64_t page[PAGE_SLOTS]; /* 0: the slot is empty */
	unsigned loads;
	char (*bytes)[TARGET_PAGE_SIZE];
};

static bool cache_word(struct page_cache *cache, uint64_t addr, uint64_t *value)
{
	uint64_t page = align_down(addr, TARGET_PAGE_SIZE);
	size_t slot = (page / TARGET_PAGE_SIZE) % PAGE_SLOTS;

	if (cache->page[slot] != page || !page) {
		cache->page[slot] = 0;
		cache->loads++;
		if (window_peek(cache->mem, page, cache->bytes[slot], TARGET_PAGE_SIZE) != 0)
			return false;
		cache->page[slot] = page;
	}
	memcpy(value, cache->bytes[slot] + (addr - page), sizeof(*value));
	return true;
}

/* One list; a link that leads nowhere ends it: the target has changed it meanwhile. */
static void follow_fast(struct glibc_walk *w, struct page_cache *cache, uint64_t chunk)
{
	while (chunk && !(chunk & 15) && chunk < ADDRESS_END) {
		uint64_t fd;

		if (w->fast.cnt == FAST_EXACT_MAX ||
		    (cache->loads > FAST_LOADS_MIN && w->fast_loads + cache->loads > FAST_LOADS_MAX)) {
			w->fast.too_many = true;
			return;
		}
		if (!cache_word(cache, chunk + 16, &fd))
			return;
		w->fast.chunk[w->fast.cnt++] = chunk;
		chunk = w->heap->row->safe_linking ? fd ^ ((chunk + 16) >> 12) : fd;
	}
}

void glibc_read_fast(struct glibc_walk *w, const struct glibc_arena *arena)
{
	struct page_cache cache = {.mem = w->mem};
	bool any = false;

	w->fast.cnt = 0;
	w->fast.too_many = false;
	for (unsigned i = 0; i < FASTBIN_CNT; i++)
		any |= arena->fast[i] != 0;
	if (!any)
		return;
	if (!w->fast.chunk)
		w->fast.chunk = malloc(FAST_EXACT_MAX * sizeof(*w->fast.chunk));
	cache.bytes = malloc(PAGE_SLOTS * sizeof(*cache.bytes));
	if (!w->fast.chunk || !cache.bytes)
		w->fast.too_many = true;
	for (unsigned i = 0; i < FASTBIN_CNT && !w->fast.too_many; i++)
		follow_fast(w, &cache, arena->fast[i]);
	free(cache.bytes);
	w->fast_loads += cache.loads;
	if (w->fast.too_many)
		w->fast.cnt = 0;
	else
		qsort(w->fast.chunk, w->fast.cnt, sizeof(*w->fast.chunk), glibc_by_address);
}

/* ---- thread caches ---- */

bool glibc_may_be_tcache(const struct glibc_walk *w, uint64_t size)
{
	const struct glibc_tcache *tc = w->heap->row->tcache;

	/* A remainder too small to be a chunk stays with the block that was cut. */
	return tc && (size == tc->chunk || size == tc->chunk + 16ULL);
}

struct cache_bins {
	uint64_t entry[TCACHE_BINS_MAX];
	unsigned cnt[TCACHE_BINS_MAX];
	bool any;
};

/* What the bins of one struct say; false if that cannot be a tcache. */
static bool parse_tcache(const struct glibc_walk *w, const char *bytes, struct cache_bins *cache)
{
	const struct glibc_tcache *tc = w->heap->row->tcache;

	cache->any = false;
	for (unsigned i = 0; i < tc->bins; i++) {
		uint16_t counter = 0;

		if (tc->width == 1)
			counter = (unsigned char)bytes[i];
		else
			memcpy(&counter, bytes + 2 * i, sizeof(counter));
		memcpy(&cache->entry[i], bytes + tc->entries + 8 * i, 8);
		if (cache->entry[i] & 15 || cache->entry[i] >= ADDRESS_END)
			return false;
		if (tc->down) {
			if (counter > w->params.tcache_count)
				return false;
			counter = (uint16_t)(w->params.tcache_count - counter);
		}
		cache->cnt[i] = counter;
		if ((counter == 0) != (cache->entry[i] == 0))
			return false;
		cache->any |= counter != 0;
	}
	return cache->any;
}

/* csize2tidx() and large_csize2tidx() in malloc/malloc.c. */
static bool size_fits_bin(uint64_t size, unsigned bin)
{
	if (bin < TCACHE_SMALL_BINS)
		return size == (bin + 2) * 16ULL;
	return size_class(size) == bin - TCACHE_SMALL_BINS + 10 && size > 1040;
}

bool glibc_looks_like_tcache(const struct glibc_walk *w, const char *bytes)
{
	struct cache_bins cache;

	return parse_tcache(w, bytes, &cache);
}

struct cached {
	uint64_t chunk, head;
	bool looks_fast; /* its link does: see glibc_chunks.c */
};

struct cached_list {
	struct cached *v;
	size_t cnt, cap;
	size_t steps; /* taken along lists, wanted or not */
};

static bool cached_add(struct cached_list *list, uint64_t chunk, uint64_t head, bool looks_fast)
{
	if (++list->steps > TCACHE_STEPS_MAX)
		return false;
	if (list->cnt == list->cap) {
		size_t cap = list->cap ? 2 * list->cap : 1024;
		struct cached *v = realloc(list->v, cap * sizeof(*v));

		if (!v)
			return false;
		list->v = v;
		list->cap = cap;
	}
	list->v[list->cnt++] = (struct cached){chunk, head, looks_fast};
	return true;
}

/* One list: false unless it is as long as its counter says, of chunks of its size. */
static bool follow_bin(const struct glibc_walk *w, struct page_cache *pages, unsigned bin, uint64_t entry,
		       unsigned cnt, struct cached_list *list)
{
	for (; cnt > 0; cnt--) {
		uint64_t head, next;

		if (!entry || entry & 15 || entry >= ADDRESS_END || !cache_word(pages, entry - 8, &head) ||
		    !cache_word(pages, entry, &next) || !size_fits_bin(head & ~CHUNK_FLAGS, bin) ||
		    !cached_add(list, entry - 16, head, w->heap->row->safe_linking || next))
			return false;
		entry = w->heap->row->safe_linking ? next ^ (entry >> 12) : next;
	}
	return entry == 0;
}

/* Adds the chunks that a struct caches to *list; false if it is no tcache, or changed too often. */
static bool read_tcache(const struct glibc_walk *w, struct page_cache *pages, uint64_t chunk,
			struct cached_list *list)
{
	size_t before = list->cnt;

	for (unsigned try = 0; try < TCACHE_TRIES; try++) {
		char bytes[TCACHE_STRUCT_MAX];
		struct cache_bins cache;
		unsigned bin = 0;

		list->cnt = before;
		memset(pages->page, 0, sizeof(pages->page));
		if (window_peek(w->mem, chunk + 16, bytes, w->heap->row->tcache->chunk - 8) != 0 ||
		    !parse_tcache(w, bytes, &cache))
			continue;
		while (bin < w->heap->row->tcache->bins &&
		       follow_bin(w, pages, bin, cache.entry[bin], cache.cnt[bin], list))
			bin++;
		if (bin == w->heap->row->tcache->bins)
			return true;
	}
	list->cnt = before;
	return false;
}

/* ---- from live to cached ---- */

static int by_chunk(const void *a, const void *b)
{
	uint64_t x = ((const struct cached *)a)->chunk, y = ((const struct cached *)b)->chunk;

	return (x > y) - (x < y);
}

/* The arena that a chunk came from, NULL if it is none of those walked. */
static struct heap_arena *arena_of(const struct glibc_walk *w, struct heap_walk *walk, const struct cached *c)
{
	uint64_t base, addr = w->heap->main_arena;

	if (c->head & CHUNK_NON_MAIN) {
		base = glibc_heap_of(w->heap, w->mem, &w->params, c->chunk);
		if (!base || window_peek(w->mem, base, &addr, sizeof(addr)) != 0)
			return NULL;
	}
	for (size_t i = 0; i < walk->arena_cnt; i++)
		if (walk->arenas[i].addr == addr)
			return &walk->arenas[i];
	return NULL;
}

static void count_cached(struct glibc_walk *w, struct heap_walk *walk, const struct cached *c)
{
	uint64_t size = c->head & ~CHUNK_FLAGS, resident;
	struct heap_arena *arena;

	/* A cached block with a mapping of its own (2.42 can) stays among those, as mallinfo has it. */
	if (c->head & CHUNK_IS_MMAPPED)
		return;
	arena = arena_of(w, walk, c);
	if (!arena)
		return;
	resident = window_resident(&w->win, c->chunk, c->chunk + size);
	if (w->by_looks[arena - walk->arenas] && c->looks_fast && size <= CHUNK_FAST_MAX &&
	    arena->f.fast.bytes >= size && arena->f.pinned.partial >= resident) {
		/* It was taken for a fast chunk, and is retained already. */
		blocks_move(&arena->f.fast, &arena->f.thread_cache, size);
		arena->f.pinned.partial -= resident;
	} else if (arena->f.live.bytes >= size) {
		if (w->pages)
			heap_pages_unmark(w->pages, c->chunk + 16);
		blocks_move(&arena->f.live, &arena->f.thread_cache, size);
		blocks_move(&walk->live_step[size_step(size)], &walk->free_class[size_class(size)], size);
		arena->f.retained += resident;
	} else {
		return;
	}
	arena->f.pinned.thread_cache += resident;
}

void glibc_count_tcaches(struct glibc_walk *w, struct heap_walk *walk)
{
	struct page_cache pages = {.mem = w->mem};
	struct cached_list list = {0};

	pages.bytes = malloc(PAGE_SLOTS * sizeof(*pages.bytes));
	for (size_t i = 0; pages.bytes && i < w->tcaches.cnt; i++)
		read_tcache(w, &pages, w->tcaches.chunk[i], &list);
	free(pages.bytes);
	/* By address: page states are read in ranges. */
	if (list.cnt)
		qsort(list.v, list.cnt, sizeof(*list.v), by_chunk);
	w->win.limit = UINT64_MAX;
	window_drop(&w->win);
	for (size_t i = 0; i < list.cnt; i++)
		if (i == 0 || list.v[i].chunk != list.v[i - 1].chunk)
			count_cached(w, walk, &list.v[i]);
	free(list.v);
}
