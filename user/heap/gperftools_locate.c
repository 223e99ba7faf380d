/*
 * Finds gperftools' tcmalloc in the writable data of its object, without symbols: the page map
 * by a word of its root that leads to a span which says where it is, the size classes by an
 * array that rises to 256 KiB, the rest by what those two say.
 */
#include <errno.h>
#include <string.h>

#include "heap/gperftools_heap.h"

#define WORDS_MAX 20000 /* words of an object that are followed */
#define PAGE_SHIFT_MIN 12
#define PAGE_SHIFT_MAX 18 /* of --with-tcmalloc-pagesize; 13 is the default */
#define SPAN_BYTES 44
#define BAD_MAX 64 /* elements of a tree that lead to no span: then it is none */

struct search {
	struct memory *mem;
	const struct maps *maps;
	struct heap *heap;
	struct page_cache cache;
	unsigned words, page_shift;
};

/* TCMalloc_PageMap2<48 − page_shift>, src/pagemap.h. */
static struct radix tree_of(unsigned page_shift)
{
	unsigned bits = 48 - page_shift, leaf = (bits + 1) / 2;

	return (struct radix){2, {bits - leaf, leaf}, .leaf = 8, .page = page_shift};
}

static bool span_range(uint64_t element, uint64_t *start, uint64_t *size, void *arg)
{
	struct search *s = arg;
	struct span span;

	if (element % 8 || !page_cache_copy(&s->cache, element, &span, SPAN_BYTES) || !span.start ||
	    !span.length || span.start >= ADDRESS_END >> s->page_shift ||
	    span.length > (ADDRESS_END >> s->page_shift) - span.start || span_location(&span) > SPAN_RETURNED)
		return false;
	*start = span.start << s->page_shift;
	*size = span.length << s->page_shift;
	return true;
}

/* How many spans of a tree follow upon each other without a gap or doubt. */
struct proof {
	struct search *s;
	unsigned good, bad;
};

static uint64_t prove(uint64_t addr, uint64_t element, uint64_t at, void *arg)
{
	struct proof *p = arg;
	uint64_t start, size;
	bool is_span = span_range(element, &start, &size, p->s) && start == addr;

	(void)at;
	p->good += is_span;
	p->bad += !is_span;
	if (p->bad > p->good + BAD_MAX)
		return RADIX_END;
	return is_span ? start + size : 0;
}

static bool try_root(struct search *s, uint64_t word, uint64_t at)
{
	struct radix tree = tree_of(s->page_shift);
	uint64_t root = radix_root_by(&tree, s->mem, s->maps, word, at, ~0ULL, span_range, s);
	struct proof proof = {.s = s};

	if (root < s->heap->data.start || root + (8ULL << tree.bits[0]) > s->heap->data.end)
		return false;
	radix_walk(&tree, root, s->mem, prove, &proof);
	if (!proof.good || proof.bad * 16 > proof.good)
		return false;
	s->heap->tree = tree;
	s->heap->root = root;
	return true;
}

static bool scan_for_root(const char *bytes, size_t len, uint64_t addr, void *arg)
{
	struct search *s = arg;

	for (size_t off = 0; off + 8 <= len; off += 8) {
		uint64_t word;

		memcpy(&word, bytes + off, sizeof(word));
		if (!word || word % 8 || word >= ADDRESS_END ||
		    (word >= s->heap->data.start && word < s->heap->data.end))
			continue;
		if (++s->words > WORDS_MAX)
			return false;
		if (try_root(s, word, addr + off))
			return true;
	}
	return false;
}

/* class_to_size_: nothing, 8 or 16 bytes, and so on up to 256 KiB; then none. Its pages follow. */
static bool is_size_array(const char *bytes)
{
	int32_t size[CLASS_MAX];
	unsigned i = 1;

	memcpy(size, bytes, sizeof(size));
	if (size[0] || (size[1] != 8 && size[1] != 16))
		return false;
	for (; i < CLASS_MAX && size[i] > size[i - 1] && size[i] % 8 == 0; i++)
		;
	if (size[i - 1] != CLASS_SIZE_MAX)
		return false;
	for (; i < CLASS_MAX; i++)
		if (size[i])
			return false;
	return true;
}

static bool scan_for_sizes(const char *bytes, size_t len, uint64_t addr, void *arg)
{
	struct search *s = arg;

	for (size_t off = 0; off + 4 * CLASS_MAX <= len; off += 4)
		if (is_size_array(bytes + off)) {
			s->heap->sizes = addr + off;
			return true;
		}
	return false;
}

static bool is_tcmalloc_name(const char *path)
{
	const char *name = strrchr(path, '/');

	return name && !strncmp(name, "/libtcmalloc", 12);
}

static bool try_data(struct search *s)
{
	if (!data_scan(s->mem, s->heap->data, scan_for_sizes, s))
		return false;
	/* The default first. */
	for (unsigned i = 0; i <= PAGE_SHIFT_MAX - PAGE_SHIFT_MIN; i++) {
		unsigned shift = PAGE_SHIFT_MIN + i;

		s->page_shift = i == 0 ? 13 : shift == 13 ? 12 : shift;
		s->words = 0;
		if (data_scan(s->mem, s->heap->data, scan_for_root, s))
			return true;
	}
	return false;
}

int gperftools_locate(struct memory *mem, const struct maps *maps, struct heap *heap)
{
	struct search s = {.mem = mem, .maps = maps, .heap = heap};
	bool named = false, found = false;

	if (page_cache_init(&s.cache, mem) != 0)
		return -ENOMEM;
	for (size_t i = 0; i < maps->cnt; i++)
		named |= is_tcmalloc_name(maps->v[i].name);
	for (size_t i = 0; !found && i < maps->cnt; i++) {
		*heap = (struct heap){.root = 0};
		/* In a static program it has no name. */
		if ((named && !is_tcmalloc_name(maps->v[i].name)) || !data_range_of(maps, i, &heap->data))
			continue;
		found = try_data(&s);
	}
	page_cache_free(&s.cache);
	return found ? 0 : -ENOENT;
}
