/*
 * Every extent that the tree knows, while the target goes on. An extent is registered at its
 * first and its last page, a slab at every page; what lies behind an extent's first page is
 * passed over by its size. A place that does not lead to where it should is read again.
 */
#include "heap/jemalloc_heap.h"

#define ATTEMPTS 4
/* In one walk: a heap that is all doubt is not worth more. */
#define RETRIES_MAX 10000
#define BAD_MAX (1U << 17)

struct tour {
	const struct heap *heap;
	struct memory *mem;
	struct page_cache *cache;
	uint64_t room; /* bytes that there can be still */
	jemalloc_extent_fn fn;
	void *arg;
	struct jemalloc_tour *sum;
};

enum look {
	LOOK_FOUND,
	LOOK_NONE,   /* nothing begins there */
	LOOK_UNREAD, /* it cannot be read */
	LOOK_INSIDE, /* an extent that begins before it has grown over it, behind us */
	LOOK_ODD,    /* it does not agree with what leads there */
};

/* The struct is read from the target itself where what is kept of it may have changed since. */
static enum look look_at(struct tour *t, uint64_t addr, uint64_t element, bool again,
			 struct jemalloc_extent *e, bool *torn)
{
	uint64_t edata = element & t->heap->row->edata;
	char fresh[EDATA_SIZE];
	const char *bytes = NULL;

	if (!edata)
		return LOOK_NONE;
	if (!again)
		bytes = page_cache_at(t->cache, edata, EDATA_SIZE);
	else if (window_peek(t->mem, edata, fresh, EDATA_SIZE) == 0)
		bytes = fresh;
	if (!bytes)
		return LOOK_UNREAD;
	if (!jemalloc_decode(t->heap->row, bytes, e, torn) || e->size > t->room || addr < e->start ||
	    addr - e->start >= e->size)
		return LOOK_ODD;
	return addr == e->start ? LOOK_FOUND : LOOK_INSIDE;
}

static uint64_t visit(uint64_t addr, uint64_t element, uint64_t at, void *arg)
{
	struct tour *t = arg;
	struct jemalloc_extent e = {.size = 0};
	enum look look = LOOK_NONE;
	bool torn = false;

	for (unsigned attempt = 0; attempt < ATTEMPTS; attempt++) {
		look = look_at(t, addr, element, attempt > 0, &e, &torn);
		if (look == LOOK_NONE || (look == LOOK_FOUND && !torn) || t->sum->retries == RETRIES_MAX)
			break;
		/* It has changed since, or it changes now. */
		t->sum->retries++;
		if (window_peek(t->mem, at, &element, sizeof(element)) != 0)
			break;
	}
	t->sum->unread += look == LOOK_UNREAD;
	if (look == LOOK_ODD && !t->sum->odd++)
		t->sum->odd_at = addr;
	if (t->sum->unread + t->sum->odd > BAD_MAX)
		return RADIX_END;
	if (look != LOOK_FOUND)
		return look == LOOK_INSIDE ? e.start + e.size : 0;
	t->sum->extents++;
	t->room -= e.size;
	t->fn(&e, t->arg);
	return e.start + e.size;
}

void jemalloc_each_extent(const struct heap *heap, struct memory *mem, struct page_cache *cache,
			  uint64_t room, jemalloc_extent_fn fn, void *arg, struct jemalloc_tour *sum)
{
	struct tour t = {heap, mem, cache, room, fn, arg, sum};

	*sum = (struct jemalloc_tour){.extents = 0};
	if (!radix_walk(heap->tree, heap->root, mem, visit, &t))
		sum->unread++;
}
