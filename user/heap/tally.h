/* What every walker counts with: pages by their state, blocks by their size. */
#ifndef ALLOCTRACE_HEAP_TALLY_H
#define ALLOCTRACE_HEAP_TALLY_H

#include <stdint.h>

#include "heap/walk.h"
#include "heap/window.h"
#include "target/memory.h"

#define ADDRESS_END (1ULL << 47) /* of user space, x86-64 without five-level tables */

static inline uint64_t align_up(uint64_t value, uint64_t unit)
{
	return (value + unit - 1) & ~(unit - 1);
}

static inline uint64_t align_down(uint64_t value, uint64_t unit)
{
	return value & ~(unit - 1);
}

static inline unsigned size_class(uint64_t bytes)
{
	unsigned class = 63 - (unsigned)__builtin_clzll(bytes | 1);

	return class < HEAP_CLASS_CNT ? class : HEAP_CLASS_CNT - 1;
}

static inline void blocks_add(struct heap_blocks *blocks, uint64_t bytes)
{
	blocks->cnt++;
	blocks->bytes += bytes;
}

static inline void blocks_move(struct heap_blocks *from, struct heap_blocks *to, uint64_t bytes)
{
	if (!from->cnt || from->bytes < bytes)
		return;
	from->cnt--;
	from->bytes -= bytes;
	blocks_add(to, bytes);
}

/* So many bytes of a page in that state: resident, shared, swapped. */
static inline void tally_page(struct heap_figures *f, uint8_t state, uint64_t bytes)
{
	if (state & PAGE_PRESENT) {
		f->resident += bytes;
		if (!(state & PAGE_EXCLUSIVE))
			f->shared += bytes;
	} else if (state & PAGE_SWAPPED) {
		f->swapped += bytes;
	}
}

/* The same of every page of [start, end). */
void tally_range(struct window *win, uint64_t start, uint64_t end, struct heap_figures *f);

/*
 * Bytes that all of a heap can have: the private memory that there is, and what may come while it
 * is walked. Sizes that add up to more are lies, and must not be counted page by page.
 */
uint64_t tally_room(const struct maps *maps);

#endif
