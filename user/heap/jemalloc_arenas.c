/*
 * The arenas: arenas[], an array of pointers in the library's data, and what each arena has
 * taken for its own structures. That is a chain of blocks which the tree does not know; the
 * oldest begins with the chain's own header and the base_t behind it, and holds the arena_t.
 */
#include <string.h>

#include "heap/jemalloc_heap.h"

#define BASE_OFFSET                                                                                          \
	192 /* of base_t in its first block: base_block_t is 16 + 128 bytes, cache lines align               \
	     */
#define BASE_WORDS                                                                                           \
	64 /* of base_t, among which blocks is: after two ehooks_t and a mutex with its statistics */
#define BLOCKS_MAX 4096 /* of one base */

struct base_block { /* base_block_t, include/jemalloc/internal/base.h */
	uint64_t size, next;
};

static bool read_block(struct memory *mem, uint64_t addr, struct base_block *block)
{
	return addr % BASE_ALIGN == 0 && addr && addr < ADDRESS_END &&
	       window_peek(mem, addr, block, sizeof(*block)) == 0 && block->size &&
	       block->size % BASE_ALIGN == 0 && block->size < ADDRESS_END;
}

/* Whether the chain from block ends with the base's first one. */
static bool leads_to(struct memory *mem, uint64_t block, uint64_t first)
{
	struct base_block b;

	for (unsigned i = 0; i < BLOCKS_MAX && read_block(mem, block, &b); i++) {
		if (block == first)
			return b.next == 0;
		block = b.next;
	}
	return false;
}

/* The newest block of a base; 0: it is no base. */
static uint64_t newest_block(struct memory *mem, uint64_t base)
{
	uint64_t words[BASE_WORDS], first = base - BASE_OFFSET;

	if (window_peek(mem, base, words, sizeof(words)) != 0)
		return 0;
	for (unsigned i = 4; i < BASE_WORDS; i++)
		if (words[i] && words[i] % BASE_ALIGN == 0 && leads_to(mem, words[i], first))
			return words[i];
	return 0;
}

/* The base that an arena_t of that index at addr would have; 0: there is none. */
static uint64_t base_of(struct jemalloc_walk *w, uint64_t addr, unsigned index)
{
	uint64_t base = align_down(addr, BASE_ALIGN) + BASE_OFFSET;
	const struct mapping *m = maps_find(w->maps, addr);
	uint32_t said;

	if (!m || !mapping_is_anon_rw(m) || addr % 64 || addr <= base ||
	    window_peek(w->mem, base, &said, sizeof(said)) != 0 || said != index)
		return 0;
	return newest_block(w->mem, base) ? base : 0;
}

/* Reads the array at addr into list[cnt]: how many arenas it names, 0 if something else is in it. */
static unsigned read_array(struct jemalloc_walk *w, uint64_t addr, struct jemalloc_arena *list)
{
	unsigned found = 0;

	for (unsigned i = 0; i < ARENA_CNT; i++) {
		const uint64_t *arena = page_cache_at(&w->cache, addr + 8ULL * i, sizeof(*arena));
		uint64_t at = arena ? *arena : 0;

		list[i] = (struct jemalloc_arena){.addr = at, .base = at ? base_of(w, at, i) : 0};
		if (at && !list[i].base)
			return 0;
		found += at != 0;
	}
	return found;
}

static bool scan_for_array(const char *bytes, size_t len, uint64_t addr, void *arg)
{
	struct jemalloc_walk *w = arg;

	for (size_t off = 0; off + 8 <= len; off += 8) {
		uint64_t arena, at = addr + off;

		memcpy(&arena, bytes + off, sizeof(arena));
		/* The root of the tree is large and full of other pointers. */
		if (!arena || arena % 64 || arena >= ADDRESS_END ||
		    at + 8ULL * ARENA_CNT > w->heap->data.end ||
		    (at >= w->heap->root && at < w->heap->root + (8ULL << w->heap->tree->bits[0])))
			continue;
		if (!base_of(w, arena, 0) || !read_array(w, at, w->arenas))
			continue;
		w->heap->arenas = at;
		return true;
	}
	return false;
}

void jemalloc_list_arenas(struct jemalloc_walk *w)
{
	if (w->heap->arenas && read_array(w, w->heap->arenas, w->arenas))
		return;
	w->heap->arenas = 0;
	if (!data_scan(w->mem, w->heap->data, scan_for_array, w)) {
		memset(w->arenas, 0, ARENA_CNT * sizeof(*w->arenas));
		w->out->estimate = true;
	}
}

static void count_base(struct jemalloc_walk *w, unsigned index, uint64_t block)
{
	struct heap_arena *arena = jemalloc_arena(w, index);
	struct base_block b;

	for (unsigned i = 0; arena && i < BLOCKS_MAX && read_block(w->mem, block, &b); i++) {
		uint64_t before = arena->f.resident;
		const struct mapping *m = maps_find(w->maps, block);

		if (!m || b.size > m->end - block)
			break;
		tally_range(&w->win, block, block + b.size, &arena->f);
		arena->f.held += b.size;
		arena->f.overhead += b.size;
		arena->f.pinned.overhead += arena->f.resident - before;
		arena->heap_cnt++;
		block = b.next;
	}
}

void jemalloc_count_bases(struct jemalloc_walk *w)
{
	for (unsigned i = 0; i < ARENA_CNT; i++)
		if (w->arenas[i].base)
			count_base(w, i, newest_block(w->mem, w->arenas[i].base));
}
