/*
 * The tree of extents (rtree_t), read while the target goes on. An extent is registered at its
 * first and its last page, a slab at every page; what lies behind an extent's first page is
 * skipped by its size. A page of the tree is read at once, and what of it does not lead to
 * where it should is read again.
 */
#include <string.h>

#include "heap/jemalloc_heap.h"

#define ATTEMPTS 4
#define PAGES_MAX                                                                                            \
	(1U << 20) /* of tables, for 2 TiB of addresses: memory that lies would lead us on for ever */
#define STATE_BATCH 512

struct tour {
	const struct heap *heap;
	struct memory *mem;
	struct page_cache *cache;
	jemalloc_extent_fn fn;
	void *arg;
	struct jemalloc_tour *sum;
	uint64_t next; /* where an extent may begin */
	unsigned pages;
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
	if (!jemalloc_decode(t->heap->row, bytes, e, torn) || addr < e->start || addr - e->start >= e->size)
		return LOOK_ODD;
	return addr == e->start ? LOOK_FOUND : LOOK_ODD;
}

/* An element that is not zero, of the page at addr; at says where the element is. */
static void visit(struct tour *t, uint64_t addr, uint64_t element, uint64_t at)
{
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
	if (look == LOOK_FOUND) {
		t->sum->extents++;
		t->next = e.start + e.size;
		t->fn(&e, t->arg);
		return;
	}
	t->sum->unread += look == LOOK_UNREAD;
	if (look != LOOK_ODD)
		return;
	if (!t->sum->odd++)
		t->sum->odd_at = addr;
	/* An extent that begins before and reaches over this page has grown behind us. */
	if (addr > e.start && addr - e.start < e.size)
		t->next = e.start + e.size;
}

static void walk_table(struct tour *t, unsigned level, uint64_t table, uint64_t prefix);

/* One page of a table, of which [from, to) belongs to it. */
static void walk_page(struct tour *t, unsigned level, uint64_t table, uint64_t prefix, uint64_t from,
		      uint64_t to)
{
	const struct jemalloc_tree *tree = t->heap->tree;
	bool is_leaf = level + 1 == tree->levels;
	unsigned step = is_leaf ? tree->leaf : 8, shift = jemalloc_level_shift(tree, level);
	char bytes[TARGET_PAGE_SIZE];

	if (memory_read(t->mem, from, bytes, to - from) != (ssize_t)(to - from)) {
		t->sum->unread++;
		return;
	}
	for (uint64_t at = from; at < to; at += step) {
		uint64_t addr = prefix + ((at - table) / step << shift), element;

		memcpy(&element, bytes + (at - from), sizeof(element));
		if (!element || (is_leaf && addr < t->next))
			continue;
		if (is_leaf)
			visit(t, addr, element, at);
		else
			walk_table(t, level + 1, element, addr);
	}
}

/* The pages of a table that are present; prefix is the address that its first element stands for. */
static void walk_table(struct tour *t, unsigned level, uint64_t table, uint64_t prefix)
{
	const struct jemalloc_tree *tree = t->heap->tree;
	bool is_leaf = level + 1 == tree->levels;
	unsigned step = is_leaf ? tree->leaf : 8, shift = jemalloc_level_shift(tree, level);
	uint64_t end = table + ((uint64_t)step << tree->bits[level]);
	uint64_t page = align_down(table, TARGET_PAGE_SIZE);
	uint8_t state[STATE_BATCH];

	if (table % 8 || table >= ADDRESS_END || prefix >= ADDRESS_END)
		return;
	for (size_t i = STATE_BATCH; page < end; page += TARGET_PAGE_SIZE, i++) {
		uint64_t from = page < table ? table : page;
		uint64_t to = page + TARGET_PAGE_SIZE < end ? page + TARGET_PAGE_SIZE : end;

		if (i == STATE_BATCH) {
			uint64_t stop = page + STATE_BATCH * TARGET_PAGE_SIZE,
				 last = align_up(end, TARGET_PAGE_SIZE);

			if (memory_pages(t->mem, page, stop < last ? stop : last, state) != 0)
				return;
			i = 0;
		}
		if (state[i] & PAGE_SWAPPED)
			t->sum->unread++;
		if (!(state[i] & PAGE_PRESENT) ||
		    (is_leaf && prefix + ((to - table) / step << shift) <= t->next))
			continue;
		if (++t->pages > PAGES_MAX) {
			t->sum->unread++;
			return;
		}
		walk_page(t, level, table, prefix, from, to);
	}
}

void jemalloc_each_extent(const struct heap *heap, struct memory *mem, struct page_cache *cache,
			  jemalloc_extent_fn fn, void *arg, struct jemalloc_tour *sum)
{
	struct tour t = {.heap = heap, .mem = mem, .cache = cache, .fn = fn, .arg = arg, .sum = sum};

	*sum = (struct jemalloc_tour){.extents = 0};
	walk_table(&t, 0, heap->root, 0);
}
