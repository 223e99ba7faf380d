#include "heap/radix.h"

#include <string.h>

#include "heap/tally.h"

#define PAGES_MAX (1U << 20) /* of tables: memory that lies would lead us on for ever */
#define STATE_BATCH 1024

unsigned radix_shift(const struct radix *tree, unsigned level)
{
	unsigned shift = tree->page;

	for (unsigned below = level + 1; below < tree->levels; below++)
		shift += tree->bits[below];
	return shift;
}

static unsigned step_of(const struct radix *tree, unsigned level)
{
	return level + 1 == tree->levels ? tree->leaf : 8;
}

struct radix_tour {
	const struct radix *tree;
	struct memory *mem;
	radix_fn fn;
	void *arg;
	uint64_t next; /* elements of addresses below are passed over */
	unsigned pages;
	bool whole;
};

static void walk_table(struct radix_tour *t, unsigned level, uint64_t table, uint64_t prefix);

/* One page of a table, of which [from, to) belongs to it. */
static void walk_page(struct radix_tour *t, unsigned level, uint64_t table, uint64_t prefix, uint64_t from,
		      uint64_t to)
{
	bool is_leaf = level + 1 == t->tree->levels;
	unsigned step = step_of(t->tree, level), shift = radix_shift(t->tree, level);
	char bytes[TARGET_PAGE_SIZE];

	if (memory_read(t->mem, from, bytes, to - from) != (ssize_t)(to - from)) {
		t->whole = false;
		return;
	}
	for (uint64_t at = from; at < to; at += step) {
		uint64_t addr = prefix + ((at - table) / step << shift), element, next;

		memcpy(&element, bytes + (at - from), sizeof(element));
		if (!element || (is_leaf && addr < t->next))
			continue;
		if (!is_leaf) {
			walk_table(t, level + 1, element, addr);
			continue;
		}
		next = t->fn(addr, element, at, t->arg);
		t->next = next > t->next ? next : t->next;
	}
}

/* The pages of a table that are present; prefix is the address that its first element stands for. */
static void walk_table(struct radix_tour *t, unsigned level, uint64_t table, uint64_t prefix)
{
	bool is_leaf = level + 1 == t->tree->levels;
	unsigned step = step_of(t->tree, level), shift = radix_shift(t->tree, level);
	uint64_t end = table + ((uint64_t)step << t->tree->bits[level]);
	uint64_t last = align_up(end, TARGET_PAGE_SIZE), page = align_down(table, TARGET_PAGE_SIZE);
	uint8_t state[STATE_BATCH];

	if (table % 8 || table >= ADDRESS_END || prefix >= ADDRESS_END || t->next == RADIX_END)
		return;
	for (size_t i = STATE_BATCH; page < end; page += TARGET_PAGE_SIZE, i++) {
		uint64_t from = page < table ? table : page, stop = page + STATE_BATCH * TARGET_PAGE_SIZE;
		uint64_t to = page + TARGET_PAGE_SIZE < end ? page + TARGET_PAGE_SIZE : end;

		if (i == STATE_BATCH) {
			if (memory_pages(t->mem, page, stop < last ? stop : last, state) != 0)
				return;
			i = 0;
		}
		if (state[i] & PAGE_SWAPPED)
			t->whole = false;
		if (!(state[i] & PAGE_PRESENT) ||
		    (is_leaf && prefix + ((to - table) / step << shift) <= t->next))
			continue;
		if (++t->pages > PAGES_MAX) {
			t->whole = false;
			return;
		}
		walk_page(t, level, table, prefix, from, to);
	}
}

bool radix_walk(const struct radix *tree, uint64_t root, struct memory *mem, radix_fn fn, void *arg)
{
	struct radix_tour t = {.tree = tree, .mem = mem, .fn = fn, .arg = arg, .whole = true};

	walk_table(&t, 0, root, 0);
	return t.whole;
}

/* The tables of one level, seen as leaves of the tree above them. */
struct table_tour {
	radix_table_fn fn;
	uint64_t len;
	void *arg;
};

static uint64_t visit_table(uint64_t addr, uint64_t element, uint64_t at, void *arg)
{
	struct table_tour *t = arg;

	(void)addr;
	(void)at;
	if (element % 8 == 0 && element < ADDRESS_END)
		t->fn(element, t->len, t->arg);
	return 0;
}

void radix_tables(const struct radix *tree, uint64_t root, struct memory *mem, radix_table_fn fn, void *arg)
{
	for (unsigned level = 1; level < tree->levels; level++) {
		struct radix upper = {.levels = level, .leaf = 8, .page = radix_shift(tree, level - 1)};
		struct table_tour t = {fn, (uint64_t)step_of(tree, level) << tree->bits[level], arg};

		memcpy(upper.bits, tree->bits, sizeof(upper.bits));
		radix_walk(&upper, root, mem, visit_table, &t);
	}
}

/* The first pointer in a table of elements, by the bits that mask says, and its index. 0: there is none. */
static uint64_t first_pointer(struct memory *mem, uint64_t table, unsigned step, uint64_t cnt, uint64_t mask,
			      uint64_t *index)
{
	uint64_t end = table + cnt * step, page = align_down(table, TARGET_PAGE_SIZE);
	uint8_t state[STATE_BATCH];

	if (align_up(end, TARGET_PAGE_SIZE) - page > sizeof(state) * TARGET_PAGE_SIZE ||
	    memory_pages(mem, page, align_up(end, TARGET_PAGE_SIZE), state) != 0)
		return 0;
	for (size_t i = 0; page < end; page += TARGET_PAGE_SIZE, i++) {
		uint64_t from = page < table ? table : page;
		uint64_t to = page + TARGET_PAGE_SIZE < end ? page + TARGET_PAGE_SIZE : end, element;
		char bytes[TARGET_PAGE_SIZE];

		if (!(state[i] & PAGE_PRESENT) ||
		    memory_read(mem, from, bytes, to - from) != (ssize_t)(to - from))
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

/* Whether [addr, addr + len) lies in memory that an allocator may have taken. */
static bool is_taken(const struct maps *maps, uint64_t addr, uint64_t len)
{
	const struct mapping *m = maps_find(maps, addr);

	return m && mapping_is_anon_rw(m) && len <= m->end - addr;
}

uint64_t radix_root_by(const struct radix *tree, struct memory *mem, const struct maps *maps, uint64_t word,
		       uint64_t at, uint64_t mask, radix_range_fn range, void *arg)
{
	unsigned root_shift = radix_shift(tree, 0);
	uint64_t low = 0, index = 0, start, size, covered;

	for (unsigned level = 1; level < tree->levels; level++) {
		bool is_leaf = level + 1 == tree->levels; /* elements that were cleared may keep other bits */
		uint64_t cnt = 1ULL << tree->bits[level];

		if (!word || word % 8 || !is_taken(maps, word, cnt * step_of(tree, level)))
			return 0;
		word = first_pointer(mem, word, step_of(tree, level), cnt, is_leaf ? mask : ~0ULL, &index);
		low += index << radix_shift(tree, level);
	}
	if (!word || !is_taken(maps, word, 1) || !range(word, &start, &size, arg))
		return 0;
	/* What begins where the table before this one ends has its last page here. */
	covered = align_down(start, 1ULL << root_shift);
	if (covered + low < start)
		covered += 1ULL << root_shift;
	if (covered + low < start || covered + low - start >= size || at < 8 * (covered >> root_shift))
		return 0;
	return at - 8 * (covered >> root_shift);
}
