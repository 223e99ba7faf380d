/*
 * Every extent that the tree knows, while the target goes on. An extent is registered at its
 * first and its last page, a slab at every page; what lies behind an extent's first page is
 * passed over by its size. A place that does not lead to where it should is read again.
 */
#include "heap/jemalloc_heap.h"

#define ATTEMPTS 4

struct tour {
	const struct heap *heap;
	struct memory *mem;
	struct page_cache *cache;
	jemalloc_extent_fn fn;
	void *arg;
	struct jemalloc_tour *sum;
};

enum look {
	LOOK_FOUND,
	LOOK_NONE,   /* nothing begins there */
	LOOK_UNREAD, /* it cannot be read */
	LOOK_ODD,    /* it does not agree with what leads there */
};

static enum look look_at(struct tour *t, uint64_t addr, uint64_t element, struct jemalloc_extent *e,
			 bool *torn)
{
	uint64_t edata = element & t->heap->row->edata;
	const char *bytes = edata ? page_cache_at(t->cache, edata, EDATA_SIZE) : NULL;

	if (!edata)
		return LOOK_NONE;
	if (!bytes)
		return LOOK_UNREAD;
	if (!jemalloc_decode(t->heap->row, bytes, e, torn) || addr != e->start)
		return LOOK_ODD;
	return LOOK_FOUND;
}

/* Where to go on behind a place that is odd: an extent that begins before it may have grown over it. */
static uint64_t note_odd(struct tour *t, uint64_t addr, const struct jemalloc_extent *e)
{
	if (!t->sum->odd++)
		t->sum->odd_at = addr;
	return addr > e->start && addr - e->start < e->size ? e->start + e->size : 0;
}

static uint64_t visit(uint64_t addr, uint64_t element, uint64_t at, void *arg)
{
	struct tour *t = arg;
	struct jemalloc_extent e = {.size = 0};
	enum look look = LOOK_NONE;
	bool torn = false;

	for (unsigned attempt = 0; attempt < ATTEMPTS; attempt++) {
		look = look_at(t, addr, element, &e, &torn);
		if (look == LOOK_NONE || (look == LOOK_FOUND && !torn))
			break;
		/* It has changed since, or it changes now. */
		t->sum->retries += look != LOOK_UNREAD;
		page_cache_forget(t->cache, element & t->heap->row->edata);
		if (window_peek(t->mem, at, &element, sizeof(element)) != 0)
			break;
	}
	t->sum->unread += look == LOOK_UNREAD;
	if (look != LOOK_FOUND)
		return look == LOOK_ODD ? note_odd(t, addr, &e) : 0;
	t->sum->extents++;
	t->fn(&e, t->arg);
	return e.start + e.size;
}

void jemalloc_each_extent(const struct heap *heap, struct memory *mem, struct page_cache *cache,
			  jemalloc_extent_fn fn, void *arg, struct jemalloc_tour *sum)
{
	struct tour t = {.heap = heap, .mem = mem, .cache = cache, .fn = fn, .arg = arg, .sum = sum};

	*sum = (struct jemalloc_tour){.extents = 0};
	if (!radix_walk(heap->tree, heap->root, mem, visit, &t))
		sum->unread++;
}
