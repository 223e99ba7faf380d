/*
 * Finds the tree of extents in the writable data of jemalloc's object, without symbols: a word
 * of the root leads through tables to an extent's struct, and that says which address it is
 * for. So the word's own place tells where the root begins, and all other extents must agree.
 */
#include <errno.h>
#include <string.h>

#include "heap/jemalloc_heap.h"

#define ODD_SHARE 16    /* of the extents one in so many may be odd: the target runs */
#define WORDS_MAX 20000 /* words of an object that are followed */

struct search {
	struct memory *mem;
	const struct maps *maps;
	struct data_range data;
	struct heap *heap; /* out */
	struct page_cache cache;
	unsigned words;
};

/* Whether [addr, addr + len) lies in memory that an allocator may have taken. */
static bool is_taken(const struct search *s, uint64_t addr, uint64_t len)
{
	const struct mapping *m = maps_find(s->maps, addr);

	return m && mapping_is_anon_rw(m) && len <= m->end - addr;
}

/* The first pointer in a table of elements, by the bits that mask says, and its index. 0: there is none. */
static uint64_t first_pointer(struct search *s, uint64_t table, unsigned step, uint64_t cnt, uint64_t mask,
			      uint64_t *index)
{
	uint64_t end = table + cnt * step, page = align_down(table, TARGET_PAGE_SIZE);
	uint8_t state[1024];

	if (align_up(end, TARGET_PAGE_SIZE) - page > sizeof(state) * TARGET_PAGE_SIZE ||
	    memory_pages(s->mem, page, align_up(end, TARGET_PAGE_SIZE), state) != 0)
		return 0;
	for (size_t i = 0; page < end; page += TARGET_PAGE_SIZE, i++) {
		uint64_t from = page < table ? table : page;
		uint64_t to = page + TARGET_PAGE_SIZE < end ? page + TARGET_PAGE_SIZE : end, element;
		char bytes[TARGET_PAGE_SIZE];

		if (!(state[i] & PAGE_PRESENT) ||
		    memory_read(s->mem, from, bytes, to - from) != (ssize_t)(to - from))
			continue;
		for (uint64_t at = from; at < to; at += step) {
			memcpy(&element, bytes + (at - from), sizeof(element));
			if (!(element & mask))
				continue;
			*index = (at - table) / step;
			return element & mask;
		}
	}
	return 0;
}

/*
 * The address that a word of the root would stand for, if it were one: down the first elements
 * of tables to an extent that says where it is. UINT64_MAX: it is none.
 */
static uint64_t covered_by(struct search *s, const struct jemalloc_tree *tree, const struct jemalloc_row *row,
			   uint64_t element)
{
	unsigned root_shift = jemalloc_level_shift(tree, 0);
	struct jemalloc_extent e;
	uint64_t low = 0, index = 0, start;
	const char *bytes;
	bool torn;

	for (unsigned level = 1; level < tree->levels; level++) {
		bool is_leaf = level + 1 == tree->levels; /* elements that were cleared keep other bits */
		unsigned step = is_leaf ? tree->leaf : 8;
		uint64_t cnt = 1ULL << tree->bits[level];

		if (element % 64 || !is_taken(s, element, cnt * step))
			return UINT64_MAX;
		element = first_pointer(s, element, step, cnt, is_leaf ? row->edata : ~0ULL, &index);
		low += index << jemalloc_level_shift(tree, level);
	}
	bytes = element && is_taken(s, element, EDATA_SIZE) ? page_cache_at(&s->cache, element, EDATA_SIZE)
							    : NULL;
	if (!bytes || !jemalloc_decode(row, bytes, &e, &torn))
		return UINT64_MAX;
	/* An extent that begins where the table before this one ends has its last page here. */
	start = align_down(e.start, 1ULL << root_shift);
	if (start + low < e.start)
		start += 1ULL << root_shift;
	return start + low >= e.start && start + low < e.start + e.size ? start : UINT64_MAX;
}

static void learn(const struct jemalloc_extent *e, void *arg)
{
	jemalloc_learn(arg, e);
}

/* Whether a whole tree hangs on that root; some of it may change just now. */
static bool is_tree(struct search *s, struct heap *heap)
{
	struct jemalloc_tour tour;

	jemalloc_each_extent(heap, s->mem, &s->cache, learn, heap, &tour);
	return tour.extents && tour.odd * ODD_SHARE <= tour.extents;
}

/* The tree whose root has that element at that place, if there is one. */
static bool try_tree(struct search *s, const struct jemalloc_tree *tree, const struct jemalloc_row *row,
		     uint64_t element, uint64_t at)
{
	uint64_t covered = covered_by(s, tree, row, element), size = 8ULL << tree->bits[0];
	uint64_t root = at - 8 * (covered >> jemalloc_level_shift(tree, 0));

	*s->heap = (struct heap){.row = row, .tree = tree, .root = root, .data = s->data};
	return covered != UINT64_MAX && root <= at && root >= s->data.start && root + size <= s->data.end &&
	       is_tree(s, s->heap);
}

static bool try_word(struct search *s, uint64_t element, uint64_t at)
{
	for (size_t i = 0; i < jemalloc_tree_cnt; i++)
		for (size_t j = 0; j < jemalloc_row_cnt; j++)
			if (try_tree(s, &jemalloc_trees[i], &jemalloc_rows[j], element, at))
				return true;
	return false;
}

static bool scan_for_root(const char *bytes, size_t len, uint64_t addr, void *arg)
{
	struct search *s = arg;

	for (size_t off = 0; off + 8 <= len; off += 8) {
		uint64_t element;

		memcpy(&element, bytes + off, sizeof(element));
		if (!element || element % 64 || element >= ADDRESS_END || !is_taken(s, element, 64) ||
		    (element >= s->data.start && element < s->data.end))
			continue;
		if (++s->words > WORDS_MAX)
			return false;
		if (try_word(s, element, addr + off))
			return true;
	}
	return false;
}

static bool is_jemalloc_name(const char *path)
{
	const char *name = strrchr(path, '/');

	return name && !strncmp(name, "/libjemalloc.so", 15);
}

int jemalloc_locate(struct memory *mem, const struct maps *maps, struct heap *heap)
{
	struct search s = {.mem = mem, .maps = maps, .heap = heap};
	bool named = false, found = false;

	if (page_cache_init(&s.cache, mem) != 0)
		return -ENOMEM;
	for (size_t i = 0; i < maps->cnt; i++)
		named |= is_jemalloc_name(maps->v[i].name);
	for (size_t i = 0; !found && i < maps->cnt; i++) {
		/* In a static program, or in a library that brought its own, it has no name. */
		if ((named && !is_jemalloc_name(maps->v[i].name)) || !data_range_of(maps, i, &s.data))
			continue;
		s.words = 0;
		found = data_scan(mem, s.data, scan_for_root, &s);
	}
	page_cache_free(&s.cache);
	return found ? 0 : -ENOENT;
}
