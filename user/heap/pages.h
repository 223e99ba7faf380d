/*
 * What a walk leaves behind for those who know the blocks by name: which pages carry free
 * bytes that cannot go back, shared by how many holders, and where blocks begin.
 */
#ifndef ALLOCTRACE_HEAP_PAGES_H
#define ALLOCTRACE_HEAP_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/map.h"
#include "heap/block_sample.h"

/*
 * What an allocator returns as a whole or not at all: a page of the kernel's, or several (a
 * mimalloc page). With free bytes that are resident and that no purge returns. Holders are the
 * chunks in use that lie on it at least in part, blocks in per-thread caches among them: a
 * purge leaves those too.
 */
struct heap_page {
	uint64_t addr;
	uint32_t free;        /* bytes */
	uint16_t holders;     /* at least 1: what headers alone keep is nobody's */
	uint16_t pages : 15;  /* of TARGET_PAGE_SIZE, at least 1 */
	uint16_t headers : 1; /* the allocator's own structures lie on it too, so no block holds it alone */
};

/* Where chunks in use begin, one bit each 16 bytes, over what was walked; sorted, disjoint. */
struct heap_extent {
	uint64_t start, end;
	bool sure; /* walked without going back or skipping: a bit that is clear proves that no block begins
		      there */
	uint64_t *bits; /* of (addr of the program's pointer − start) / 16; owned by the pages; NULL: all clear */
};

struct heap_pages {
	struct heap_page *v; /* by address, after heap_pages_finish */
	size_t cnt, cap;
	uint8_t header;      /* bytes of a chunk before the program's pointer */
	bool finished;       /* sorted */
	struct map regions; /* of 2 MiB → where the pages that reach into it begin in v, from 1 */
	struct heap_extent *extents;
	size_t extent_cnt, extent_cap;
	uint64_t *mmapped; /* the program's pointers of blocks with a mapping of their own, sorted */
	size_t mmapped_cnt, mmapped_cap;
	bool mmapped_sure; /* all of them */
	struct block_sample sample; /* of the blocks in use; empty if the walker tells no sizes */
};

/* All zero: empty and valid. What has no memory is left out, and what it concerns is not sure. */
void heap_pages_free(struct heap_pages *pages); /* idempotent */
void heap_pages_add(struct heap_pages *pages, const struct heap_page *page);
/* A new extent from start on, which grows with what is marked in it. */
void heap_pages_begin_extent(struct heap_pages *pages, uint64_t start);
/*
 * A block of that size begins at the program's pointer addr, in the newest extent, behind those marked before;
 * size 0: perhaps only, it is in no sample.
 */
void heap_pages_mark(struct heap_pages *pages, uint64_t addr, uint64_t size);
/* The newest extent reaches to end; what is marked from there on is forgotten. */
void heap_pages_cut(struct heap_pages *pages, uint64_t end);
/* A new extent, in which no block begins. */
void heap_pages_add_bare(struct heap_pages *pages, uint64_t start, uint64_t end);
void heap_pages_doubt(struct heap_pages *pages); /* the newest extent is not sure */
/* That no block in use begins there after all, whichever extent it lies in. */
void heap_pages_unmark(struct heap_pages *pages, uint64_t addr);
void heap_pages_add_mmapped(struct heap_pages *pages, uint64_t addr, uint64_t size);
/* Back to what there was: as many pages and extents. */
void heap_pages_truncate(struct heap_pages *pages, size_t page_cnt, size_t extent_cnt);
/* Sorts, for the look-ups below. */
void heap_pages_finish(struct heap_pages *pages);

/* The page that addr lies on, or NULL. Fast: called for every live block. */
const struct heap_page *heap_pages_find(const struct heap_pages *pages, uint64_t addr);

enum heap_verdict {
	HEAP_UNKNOWN, /* not walked, or not surely */
	HEAP_IN_USE,  /* a block begins there (perhaps another one) */
	HEAP_DEAD,    /* none does */
};
/* What the walk says of a block at the program's pointer addr. */
enum heap_verdict heap_pages_judge(const struct heap_pages *pages, uint64_t addr);

#endif
