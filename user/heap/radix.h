/*
 * Radix trees over addresses, as allocators keep them of their pages: tables of pointers to
 * tables, the last of them of elements that say what a page belongs to. Read while the target
 * goes on, one page of a table at a time; pages that are not there are passed over.
 */
#ifndef ALLOCTRACE_HEAP_RADIX_H
#define ALLOCTRACE_HEAP_RADIX_H

#include <stdbool.h>
#include <stdint.h>

#include "target/maps.h"
#include "target/memory.h"

struct radix {
	unsigned levels;  /* 2 or 3 */
	unsigned bits[3]; /* of an address, by level from the root */
	unsigned leaf;    /* bytes of a leaf's element, of which the first word is looked at; of others 8 */
	unsigned page;    /* bits of an address within a page */
};

/* An element of that level stands for 2^n bytes of addresses. */
unsigned radix_shift(const struct radix *tree, unsigned level);

/*
 * An element that is not zero, of the page at addr, as it was read at address at in the target.
 * Returns the address from which on elements are of interest again: addr or less, all are;
 * RADIX_END: none is any more.
 */
#define RADIX_END UINT64_MAX
typedef uint64_t (*radix_fn)(uint64_t addr, uint64_t element, uint64_t at, void *arg);

/* All elements, ascending. False: some could not be read (swapped out, or too many to be true). */
bool radix_walk(const struct radix *tree, uint64_t root, struct memory *mem, radix_fn fn, void *arg);

/* What calls for each table below the root: its address and bytes. */
typedef void (*radix_table_fn)(uint64_t table, uint64_t len, void *arg);
void radix_tables(const struct radix *tree, uint64_t root, struct memory *mem, radix_table_fn fn, void *arg);

/* What an element says of itself: the addresses that it is for. False: it cannot be one. */
typedef bool (*radix_range_fn)(uint64_t element, uint64_t *start, uint64_t *size, void *arg);

/*
 * Where the root begins, if the word at address at is an element of it: down the first elements
 * of its tables there is one whose range tells. mask: the bits of an element that are a pointer.
 * 0: it is none.
 */
uint64_t radix_root_by(const struct radix *tree, struct memory *mem, const struct maps *maps, uint64_t word,
		       uint64_t at, uint64_t mask, radix_range_fn range, void *arg);

#endif
