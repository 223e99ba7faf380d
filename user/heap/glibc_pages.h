/* Anonymous memory page by page: what regions and mmapped blocks begin with. */
#ifndef ALLOCTRACE_HEAP_GLIBC_PAGES_H
#define ALLOCTRACE_HEAP_GLIBC_PAGES_H

#include <stdbool.h>

#include "target/memory.h"

#define HEADS_BATCH 256 /* pages looked at by one read */

/* The first 16 bytes of every present page of the private anonymous mappings, in order of address. */
struct page_heads {
	struct memory *mem;
	const struct maps *maps;
	const struct mapping *mapping; /* of the page returned last */
	size_t next_mapping;
	uint64_t at;      /* the batch that is read next begins here */
	uint64_t skip;    /* pages below are passed over */
	size_t batch;     /* pages to be read next: few where a block may begin, then more */
	size_t cnt, next; /* in the batch */
	uint64_t addr[HEADS_BATCH];
	uint64_t word[HEADS_BATCH][2];
	uint8_t state[HEADS_BATCH];
};

void glibc_heads_init(struct page_heads *heads, struct memory *mem, const struct maps *maps);
/* The next page's address and its first two words; false at the end. */
bool glibc_heads_next(struct page_heads *heads, uint64_t *addr, uint64_t words[2]);
/* Goes on at addr. */
void glibc_heads_skip(struct page_heads *heads, uint64_t addr);

#endif
