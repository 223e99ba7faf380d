/*
 * What an extent amounts to. A purge of all arenas (arena.4096.purge) returns every page of
 * every dirty and muzzy extent, and nothing else: a slab goes back only once its last region
 * is free, and blocks in thread caches stay where they are.
 */
#include <string.h>

#include "heap/jemalloc_heap.h"

#define SLAB_PAGES_MAX 2048 /* 512 regions of 14 KiB are 1792 */

/* Bytes of a page of a slab, by what they are. */
struct slab_page {
	uint16_t unused, cached;
};

/* Moves on to the cached blocks of an extent; the next of them, or NULL. */
static const struct jemalloc_cached *next_cached(struct jemalloc_walk *w, const struct jemalloc_extent *e)
{
	while (w->cached_next < w->cached_cnt && w->cached[w->cached_next].block < e->start)
		w->cached_next++;
	if (w->cached_next == w->cached_cnt || w->cached[w->cached_next].block >= e->start + e->size)
		return NULL;
	return &w->cached[w->cached_next++];
}

/* Which regions of a slab are in thread caches. */
static void find_cached(struct jemalloc_walk *w, const struct jemalloc_extent *e,
			uint64_t cached[BITMAP_WORDS])
{
	uint64_t size = jemalloc_class_size(e->class);
	const struct jemalloc_cached *c;

	memset(cached, 0, BITMAP_WORDS * sizeof(*cached));
	while ((c = next_cached(w, e))) {
		uint64_t off = c->block - e->start, i = off / size;

		/* It may have been handed out and freed since its thread's cache was read. */
		if (c->class == e->class && off % size == 0 && i < e->regions &&
		    !(e->unused[i / 64] >> i % 64 & 1))
			cached[i / 64] |= 1ULL << i % 64;
	}
}

/* Adds bytes of [from, to) in a slab to each of its pages. */
static void spread(struct slab_page *pages, uint64_t from, uint64_t to, bool unused, bool cached)
{
	while (from < to) {
		uint64_t stop = align_down(from, TARGET_PAGE_SIZE) + TARGET_PAGE_SIZE;
		struct slab_page *page = &pages[from / TARGET_PAGE_SIZE];

		if (stop > to)
			stop = to;
		page->unused += (uint16_t)(unused ? stop - from : 0);
		page->cached += (uint16_t)(cached ? stop - from : 0);
		from = stop;
	}
}

/* What is resident of its pages; of what is unused, how much is. */
static uint64_t count_slab_pages(struct jemalloc_walk *w, struct heap_arena *arena,
				 const struct jemalloc_extent *e, const struct slab_page *pages)
{
	uint64_t unused = 0;

	for (size_t i = 0; i < e->size / TARGET_PAGE_SIZE; i++) {
		uint8_t state = window_state(&w->win, e->start + i * TARGET_PAGE_SIZE);

		tally_page(&arena->f, state, TARGET_PAGE_SIZE);
		if (!(state & PAGE_PRESENT))
			continue;
		unused += pages[i].unused;
		arena->f.pinned.thread_cache += pages[i].cached;
	}
	arena->f.pinned.partial += unused;
	return unused;
}

/* Where blocks begin, and what they hold back, for those who know them by address. */
static void note_slab(struct jemalloc_walk *w, const struct jemalloc_extent *e, const uint64_t *cached,
		      uint64_t unused)
{
	uint64_t size = jemalloc_class_size(e->class);
	struct heap_page page = {
		.addr = e->start,
		.free = (uint32_t)unused,
		.holders = (uint16_t)(e->regions - e->nfree),
		.pages = (uint16_t)(e->size / TARGET_PAGE_SIZE),
	};
	struct heap_blocks held = {page.holders, unused};

	if (w->slabs_end != e->start)
		heap_pages_begin_extent(w->pages, e->start);
	for (unsigned i = 0; i < e->regions; i++)
		if (!((e->unused[i / 64] | cached[i / 64]) >> i % 64 & 1))
			heap_pages_mark(w->pages, e->start + i * size, size);
	heap_pages_cut(w->pages, e->start + e->size);
	w->slabs_end = e->start + e->size;
	if (!page.free || !page.holders)
		return;
	heap_pages_add(w->pages, &page);
	heap_blocks_add(&w->out->pinned_class[size_class(size)], &held);
}

static void count_slab(struct jemalloc_walk *w, struct heap_arena *arena, const struct jemalloc_extent *e)
{
	uint64_t size = jemalloc_class_size(e->class), cached[BITMAP_WORDS], unused;
	struct slab_page pages[SLAB_PAGES_MAX];
	struct heap_blocks live = {0}, kept = {0};
	unsigned class = size_class(size);

	find_cached(w, e, cached);
	memset(pages, 0, e->size / TARGET_PAGE_SIZE * sizeof(*pages));
	for (unsigned i = 0; i < e->regions; i++) {
		bool is_unused = e->unused[i / 64] >> i % 64 & 1, is_cached = cached[i / 64] >> i % 64 & 1;

		spread(pages, i * size, (i + 1) * size, is_unused, is_cached);
		kept.cnt += is_cached;
		live.cnt += !is_unused && !is_cached;
	}
	live.bytes = live.cnt * size;
	kept.bytes = kept.cnt * size;
	/* No class of the default ones leaves a rest, those set by opt.slab_sizes may. */
	spread(pages, e->regions * size, e->size, true, false);
	unused = count_slab_pages(w, arena, e, pages);
	if (w->pages)
		note_slab(w, e, cached, unused);
	heap_blocks_add(&arena->f.live, &live);
	heap_blocks_add(&arena->f.thread_cache, &kept);
	heap_blocks_add(&arena->f.bins, &(struct heap_blocks){e->nfree, e->nfree * size});
	arena->f.overhead += e->size - e->regions * size;
	heap_blocks_add(&w->out->live_step[size_step(size)], &live);
	heap_blocks_add(&w->out->free_class[class],
			&(struct heap_blocks){e->nfree + kept.cnt, (e->nfree + kept.cnt) * size});
}

static void count_large(struct jemalloc_walk *w, struct heap_arena *arena, const struct jemalloc_extent *e)
{
	uint64_t size, end = e->start + e->size, block = e->block, before;
	const struct jemalloc_cached *c;
	bool is_cached = false;

	jemalloc_learn(w->heap, e);
	size = jemalloc_large_size(w->heap, e);
	if (size > end - block)
		size = end - block;
	while ((c = next_cached(w, e)))
		is_cached |= c->block == block && c->class == e->class;
	before = arena->f.resident;
	tally_range(&w->win, e->start, block, &arena->f);
	arena->f.pinned.overhead += arena->f.resident - before;
	before = arena->f.resident;
	tally_range(&w->win, block, block + size, &arena->f);
	if (is_cached)
		arena->f.pinned.thread_cache += arena->f.resident - before;
	before = arena->f.resident;
	tally_range(&w->win, block + size, end, &arena->f);
	arena->f.pinned.overhead += arena->f.resident - before;
	arena->f.overhead += e->size - size;
	blocks_add(is_cached ? &arena->f.thread_cache : &arena->f.live, size);
	blocks_add(is_cached ? &w->out->free_class[size_class(size)] : &w->out->live_step[size_step(size)],
		   size);
	if (w->pages && !is_cached)
		heap_pages_add_mmapped(w->pages, block, size);
}

static void count_unused(struct jemalloc_walk *w, struct heap_arena *arena, const struct jemalloc_extent *e)
{
	struct heap_figures *f = &arena->f;
	uint64_t resident = f->resident, shared = f->shared;

	tally_range(&w->win, e->start, e->start + e->size, f);
	if (e->size > f->largest_free)
		f->largest_free = e->size;
	blocks_add(&w->out->free_class[size_class(e->size)], e->size);
	/* Its pages have been given back; a huge page may have brought some again. */
	if (e->state == EXTENT_RETAINED)
		f->top += e->size;
	else
		blocks_add(&f->fast, e->size);
	/* The huge page allocator returns huge pages, when it sees fit. */
	if (e->state == EXTENT_RETAINED || e->hpa) {
		f->pinned.policy += f->resident - resident;
		return;
	}
	f->purgeable += f->resident - resident;
	f->purgeable_shared += f->shared - shared;
}

void jemalloc_count_extent(struct jemalloc_walk *w, const struct jemalloc_extent *e)
{
	struct heap_arena *arena = jemalloc_arena(w, e->arena);

	if (!arena)
		return;
	arena->heap_cnt += e->start != w->last_end;
	w->last_end = e->start + e->size;
	arena->f.held += e->size;
	w->out->estimate |= e->hpa; /* free parts of its huge pages are in no extent */
	/* An active extent of no class is on its way from one list to another. */
	if (e->state != EXTENT_ACTIVE || e->class == CLASS_CNT)
		count_unused(w, arena, e);
	else if (!e->slab)
		count_large(w, arena, e);
	else if (e->size <= SLAB_PAGES_MAX * TARGET_PAGE_SIZE)
		count_slab(w, arena, e);
}
