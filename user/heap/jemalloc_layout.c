/*
 * Where the fields of jemalloc's structs are (LP64, 4 KiB pages). The rows were read off
 * include/jemalloc/internal/edata.h and rtree.h of the releases that each names.
 */
#include <string.h>

#include "heap/jemalloc_heap.h"

/* edata_t: the same in all rows but for the bits of its first word. */
#define E_BITS 0
#define E_ADDR 8
#define E_SIZE 16 /* below the page: a number of the struct's own */
#define E_BITMAP 64
#define ARENA_BITS 12 /* MALLOCX_ARENA_BITS */
#define SLAB_BIT 12
#define PAI_BIT 14 /* the huge page allocator's (opt.hpa) */
/* So many large blocks at the beginning of a page: opt.cache_oblivious is off, else one in 64 is there. */
#define UNPADDED_AFTER 16

/* clang-format off: tables */

/* 5.3 has state in three bits behind the one of guarded. */
const struct jemalloc_row jemalloc_rows[] = {
	{"5.3", .edata = 0x0000ffffffffff80, .state_shift = 17, .state_bits = 3, .class_shift = 20,
	 .nfree_shift = 28},
};
const size_t jemalloc_row_cnt = sizeof(jemalloc_rows) / sizeof(*jemalloc_rows);

/*
 * By LG_VADDR, which configure asks of the processor that it runs on: a library that was built
 * where page tables may have five levels has a tree of three, and leaves of two words.
 */
const struct radix jemalloc_trees[] = {
	{2, {18, 18}, .leaf = 8, .page = 12},
	{3, {15, 15, 15}, .leaf = 16, .page = 12},
};
const size_t jemalloc_tree_cnt = sizeof(jemalloc_trees) / sizeof(*jemalloc_trees);

/* clang-format on */

/* 8, four of 16 to 64, then four a doubling (src/sc.c). */
uint64_t jemalloc_class_size(unsigned class)
{
	unsigned group;

	if (class < 5)
		return class ? 16ULL * class : 8;
	group = (class - 5) / 4;
	return (64ULL << group) + ((class - 5) % 4 + 1) * (16ULL << group);
}

static uint64_t word(const char *at)
{
	uint64_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

static unsigned field(uint64_t bits, unsigned shift, unsigned width)
{
	return (unsigned)(bits >> shift & ((1U << width) - 1));
}

/* The bitmap of a slab, as far as it has regions. False: no class has slabs like this. */
static bool decode_slab(const struct jemalloc_row *row, const char *bytes, struct jemalloc_extent *e,
			bool *torn)
{
	uint64_t size;
	unsigned set = 0;

	if (e->class >= SMALL_CLASS_CNT)
		return false;
	size = jemalloc_class_size(e->class);
	if (e->size < size || e->size / size > REGION_MAX)
		return false;
	e->regions = (unsigned)(e->size / size);
	e->nfree = field(word(bytes + E_BITS), row->nfree_shift, 10);
	for (unsigned i = 0; i < BITMAP_WORDS; i++) {
		uint64_t mask = i * 64 >= e->regions       ? 0
				: e->regions - i * 64 < 64 ? (1ULL << (e->regions - i * 64)) - 1
							   : ~0ULL;

		e->unused[i] = word(bytes + E_BITMAP + 8 * i) & mask;
		set += (unsigned)__builtin_popcountll(e->unused[i]);
	}
	*torn = set != e->nfree;
	e->nfree = set;
	return true;
}

bool jemalloc_decode(const struct jemalloc_row *row, const char *bytes, struct jemalloc_extent *e, bool *torn)
{
	uint64_t bits = word(bytes + E_BITS);
	unsigned state = field(bits, row->state_shift, row->state_bits);

	*torn = false;
	*e = (struct jemalloc_extent){
		.block = word(bytes + E_ADDR),
		.size = align_down(word(bytes + E_SIZE), TARGET_PAGE_SIZE),
		.arena = field(bits, 0, ARENA_BITS),
		.class = field(bits, row->class_shift, 8),
		.state = state,
		.slab = bits >> SLAB_BIT & 1,
		.hpa = bits >> PAI_BIT & 1,
	};
	e->start = align_down(e->block, TARGET_PAGE_SIZE);
	if (!e->start || !e->size || e->size >= ADDRESS_END || e->start + e->size > ADDRESS_END ||
	    state >= EXTENT_STATE_CNT || e->class > CLASS_CNT || e->arena >= ARENA_CNT)
		return false;
	/* The huge page allocator's small cache keeps slabs that are nobody's any more. */
	if (e->state == EXTENT_ACTIVE && e->slab && e->class != CLASS_CNT)
		return decode_slab(row, bytes, e, torn);
	return true;
}

static bool is_large(const struct jemalloc_extent *e)
{
	return e->state == EXTENT_ACTIVE && !e->slab && e->class >= SMALL_CLASS_CNT && e->class < CLASS_CNT;
}

void jemalloc_learn(struct heap *heap, const struct jemalloc_extent *e)
{
	uint64_t class;

	if (!is_large(e))
		return;
	class = jemalloc_class_size(e->class);
	heap->coarse |= e->size != class + LARGE_PAD && e->size != class;
	heap->shifted |= e->block != e->start;
	heap->large_cnt += heap->large_cnt < UNPADDED_AFTER;
}

uint64_t jemalloc_large_size(const struct heap *heap, const struct jemalloc_extent *e)
{
	uint64_t pad = heap->shifted || heap->large_cnt < UNPADDED_AFTER ? LARGE_PAD : 0;

	/* A small block that the heap profiler has chosen has an extent of its own, too. */
	if (!is_large(e) || !heap->coarse)
		return jemalloc_class_size(e->class);
	return e->size > pad ? e->size - pad : e->size;
}
