/*
 * One mimalloc page: blocks of one size, some of them on three lists of free ones. What the
 * page counts of itself is enough while all of it is resident; otherwise, or where it matters
 * which blocks are in use, the lists are followed, and have to agree with the counts.
 */
#include <string.h>

#include "base/search.h"
#include "heap/mimalloc_heap.h"

struct counted {
	struct heap_figures f; /* resident, swapped and shared */
	uint32_t live;
	uint32_t pending; /* freed by other threads, not yet seen by the owner */
	uint64_t live_resident;
	bool mapped; /* w->map is set where no block is in use, and agrees with the counts */
};

static uint64_t block_at(const struct mi_page *p, uint32_t i)
{
	return p->area + i * p->block_size;
}

static bool is_free(const struct mi_walk *w, uint32_t i)
{
	return w->map[i / 64] >> i % 64 & 1;
}

static bool set_free(struct mi_walk *w, const struct mi_page *p, uint64_t block)
{
	uint64_t i = (block - p->area) / p->block_size;

	if (block < p->area || i >= p->capacity || is_free(w, (uint32_t)i) ||
	    (block_at(p, (uint32_t)i) != block && !w->heap->row->ways.frees_inside))
		return false;
	w->map[i / 64] |= 1ULL << i % 64;
	return true;
}

/* How many blocks are on a list, all of them of this page and none twice; UINT32_MAX: it is no such list. */
static uint32_t follow(struct mi_walk *w, const struct mi_page *p, uint64_t block)
{
	uint32_t cnt = 0;

	for (; block; cnt++) {
		const char *at = set_free(w, p, block) ? window_at(&w->win, block, 8) : NULL;

		if (!at)
			return UINT32_MAX;
		block = mi_word(at);
	}
	return cnt;
}

static uint64_t delayed_key(const void *v, size_t i)
{
	return ((const uint64_t *)v)[i];
}

/* Blocks of this page on the lists of heaps. */
static uint32_t find_delayed(struct mi_walk *w, const struct mi_page *p)
{
	size_t i = w->delayed_cnt ? search_upto(w->sorted, w->delayed_cnt, delayed_key, p->area - 1) : 0;
	uint32_t cnt = 0;

	for (; i < w->delayed_cnt && w->sorted[i] < p->end; i++)
		cnt += set_free(w, p, w->sorted[i]);
	return cnt;
}

/* Whether the layout and the counts make sense at all. */
static bool is_sane(const struct mi_page *p)
{
	uint64_t size = p->block_size;

	return size >= 8 && size % 8 == 0 && p->capacity <= p->reserved && p->used <= p->capacity &&
	       p->reserved <= MI_BLOCKS_MAX && p->area >= p->start && p->area <= p->end &&
	       p->reserved <= (p->end - p->area) / size;
}

static bool count_blocks(struct mi_walk *w, const struct mi_page *p, struct counted *c)
{
	uint64_t carved = p->area + p->capacity * p->block_size;
	bool whole = window_resident(&w->win, p->area, carved) == carved - p->area;
	bool all_used = p->used == p->capacity;
	uint32_t unused = 0, foreign, delayed;

	memset(w->map, 0, (p->capacity + 63) / 64 * sizeof(w->map[0]));
	c->mapped = w->pages || !whole;
	if ((c->mapped && !all_used) || p->thread_free)
		window_fetch(&w->win, p->area, carved);
	if (c->mapped && !all_used) {
		uint32_t fresh = follow(w, p, p->free), local = follow(w, p, p->local_free);

		unused = p->capacity - p->used;
		c->mapped = fresh != UINT32_MAX && local != UINT32_MAX && fresh + local == unused;
		if (!c->mapped)
			return false;
	}
	foreign = follow(w, p, p->thread_free);
	delayed = foreign == UINT32_MAX ? 0 : find_delayed(w, p);
	if (foreign == UINT32_MAX || foreign + delayed > p->used) {
		c->mapped = false;
		return false;
	}
	c->pending = foreign + delayed;
	c->live = p->used - c->pending;
	c->live_resident = c->live * p->block_size;
	if (whole || !c->live)
		return true;
	c->live_resident = 0;
	for (uint32_t i = 0; i < p->capacity; i++)
		if (!is_free(w, i))
			c->live_resident +=
				window_resident(&w->win, block_at(p, i), block_at(p, i) + p->block_size);
	return true;
}

/* For those who know blocks by their addresses: where they begin, and what they keep. */
static void note_blocks(struct mi_walk *w, const struct mi_page *p, const struct counted *c, uint64_t pinned)
{
	struct heap_blocks *class = &w->walk->pinned_class[size_class(p->block_size)];
	uint64_t pages = (p->end - p->start) / TARGET_PAGE_SIZE;

	if (!c->mapped)
		heap_pages_doubt(w->pages);
	for (uint32_t i = 0; i < p->capacity; i++) {
		if (is_free(w, i))
			continue;
		/* Of an aligned block the program's pointer may be anywhere in it. */
		for (uint64_t at = block_at(p, i), step = 0; step < (p->inside ? p->inside : 1); step += 16)
			heap_pages_mark(w->pages, at + step, step ? 0 : p->block_size);
	}
	if (!pinned)
		return;
	class->cnt += c->live;
	class->bytes += pinned;
	heap_pages_add(w->pages,
		       &(struct heap_page){.addr = p->start,
					   .free = (uint32_t)(pinned < UINT32_MAX ? pinned : UINT32_MAX),
					   .holders = (uint16_t)c->live,
					   .pages = (uint16_t)(pages < 32767 ? pages : 32767)});
}

static void add(struct mi_walk *w, const struct mi_page *p, const struct counted *c, struct heap_arena *a)
{
	uint64_t size = p->block_size, live = c->live * size, pending = c->pending * size;
	uint64_t pinned = c->f.resident - c->live_resident;
	unsigned class = size_class(size);

	heap_figures_add(&a->f, &c->f);
	heap_blocks_add(&a->f.live, &(struct heap_blocks){c->live, live});
	heap_blocks_add(&a->f.thread_cache, &(struct heap_blocks){c->pending, pending});
	heap_blocks_add(&a->f.bins, &(struct heap_blocks){p->reserved - c->live - c->pending,
							  p->end - p->start - live - pending});
	heap_blocks_add(&w->walk->live_step[size_step(size)], &(struct heap_blocks){c->live, live});
	heap_blocks_add(&w->walk->free_class[class],
			&(struct heap_blocks){p->reserved - c->live, (p->reserved - c->live) * size});
	a->f.pinned.partial += pinned;
	a->walked += p->end - p->start;
	if (w->pages && !p->huge)
		note_blocks(w, p, c, pinned);
}

enum mi_verdict mi_count_page(struct mi_walk *w, const struct mi_page *p, bool last, struct heap_arena *a)
{
	struct counted c = {.live = 0};
	bool sane = is_sane(p);

	if (!p->reserved || p->block_size < 8) /* about to become one, or to be none */
		return MI_PAGE_EMPTY;
	if (!sane || !count_blocks(w, p, &c)) {
		if (!last)
			return MI_PAGE_CHANGED;
		/* By what it counts itself, if that can be. */
		if (!sane)
			return MI_PAGE_BROKEN;
		w->walk->estimate = true;
		c = (struct counted){.live = p->used};
	}
	if (!c.live)
		return MI_PAGE_EMPTY;
	tally_range(&w->win, p->start, p->end, &c.f);
	if (!c.live_resident && !c.mapped)
		c.live_resident = c.live * p->block_size;
	if (c.live_resident > c.f.resident)
		c.live_resident = c.f.resident;
	add(w, p, &c, a);
	return MI_PAGE_COUNTED;
}
