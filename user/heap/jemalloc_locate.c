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

/* The addresses that the struct behind a leaf's element is for. */
struct edata_search {
	const struct jemalloc_row *row;
	struct page_cache *cache;
};

static bool edata_range(uint64_t element, uint64_t *start, uint64_t *size, void *arg)
{
	const struct edata_search *s = arg;
	const char *bytes = page_cache_at(s->cache, element, EDATA_SIZE);
	struct jemalloc_extent e;
	bool torn;

	if (!bytes || !jemalloc_decode(s->row, bytes, &e, &torn))
		return false;
	*start = e.start;
	*size = e.size;
	return true;
}

static void learn(const struct jemalloc_extent *e, void *arg)
{
	jemalloc_learn(arg, e);
}

/* Whether a whole tree hangs on that root; some of it may change just now. */
static bool is_tree(struct search *s, struct heap *heap)
{
	struct jemalloc_tour tour;

	jemalloc_each_extent(heap, s->mem, &s->cache, tally_room(s->maps), learn, heap, &tour);
	return tour.extents && tour.odd * ODD_SHARE <= tour.extents;
}

/* The tree whose root has that element at that place, if there is one. */
static bool try_tree(struct search *s, const struct radix *tree, const struct jemalloc_row *row,
		     uint64_t element, uint64_t at)
{
	struct edata_search edata = {row, &s->cache};
	uint64_t size = 8ULL << tree->bits[0];
	uint64_t root = radix_root_by(tree, s->mem, s->maps, element, at, row->edata, edata_range, &edata);

	*s->heap = (struct heap){.row = row, .tree = tree, .root = root, .data = s->data};
	return root >= s->data.start && root + size <= s->data.end && is_tree(s, s->heap);
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
		if (!element || element % 64 || element >= ADDRESS_END ||
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
