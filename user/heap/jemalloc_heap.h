/*
 * What the parts of the jemalloc walker share: the layout that a target turned out to have, one
 * extent as read at one moment, and what one walk works with.
 */
#ifndef ALLOCTRACE_HEAP_JEMALLOC_HEAP_H
#define ALLOCTRACE_HEAP_JEMALLOC_HEAP_H

#include "heap/data.h"
#include "heap/page_cache.h"
#include "heap/radix.h"
#include "heap/tally.h"
#include "heap/walk.h"
#include "heap/window.h"

/* include/jemalloc/internal/{sc,bitmap,jemalloc_internal_types}.h of 5.3; LG_PAGE 12, LG_QUANTUM 4. */
#define SMALL_CLASS_CNT 36  /* SC_NBINS */
#define CLASS_CNT 232       /* SC_NSIZES; as an extent's class: it is nobody's block */
#define REGION_MAX 512      /* SC_SLAB_MAXREGS: of one slab */
#define BITMAP_WORDS (REGION_MAX / 64)
#define ARENA_CNT 4095      /* MALLOCX_ARENA_LIMIT */
#define LARGE_PAD 4096ULL   /* sz_large_pad: room to begin a large block anywhere in a page */
#define BASE_ALIGN (2ULL << 20) /* HUGEPAGE: of the blocks that arenas take for their own structures */

/* What a range of versions has in common; jemalloc_layout.c. */
struct jemalloc_row {
	const char *range;     /* for people */
	uint64_t edata;        /* bits of a leaf's first word that are the address of the extent's struct */
	uint8_t state_shift, state_bits, class_shift, nfree_shift; /* in e_bits */
};

extern const struct jemalloc_row jemalloc_rows[];
extern const size_t jemalloc_row_cnt;
extern const struct radix jemalloc_trees[]; /* rtree_t: how addresses lead to extents */
extern const size_t jemalloc_tree_cnt;

uint64_t jemalloc_class_size(unsigned class); /* bytes of a block; class < CLASS_CNT */
struct heap {
	const struct jemalloc_row *row;
	const struct radix *tree;
	uint64_t root;           /* rtree_t.root */
	struct data_range data;  /* where it lies: the library's data */
	uint64_t arenas;         /* arenas[]; 0: not found */
	uint64_t tcache_list;    /* offset of tcache_ql in arena_t; 0: not seen yet */
	bool coarse;             /* large blocks are whole pages, not size classes (5.3.1) */
	bool shifted;            /* one has been seen to begin inside a page: there is padding for that */
	unsigned large_cnt;      /* large blocks seen so far */
};

/* enum extent_state_e, include/jemalloc/internal/edata.h. */
enum jemalloc_state {
	EXTENT_ACTIVE,
	EXTENT_DIRTY,
	EXTENT_MUZZY,
	EXTENT_RETAINED,
	EXTENT_TRANSITION,
	EXTENT_MERGING,
	EXTENT_STATE_CNT,
};

/* edata_t. */
struct jemalloc_extent {
	uint64_t start, size; /* of whole pages */
	uint64_t block;       /* where its large block begins */
	unsigned arena, class;
	enum jemalloc_state state;
	bool slab, hpa;
	unsigned regions, nfree; /* of a slab */
	uint64_t unused[BITMAP_WORDS]; /* of a slab: a bit that is set is a free region */
};

#define EDATA_SIZE 128

/*
 * jemalloc_layout.c: the struct's bytes as an extent; false if they cannot be one. A slab whose
 * count does not agree with its bitmap is one that changes: *torn.
 */
bool jemalloc_decode(const struct jemalloc_row *row, const char *bytes, struct jemalloc_extent *e, bool *torn);

/* Learns from an extent how large blocks are laid out here. */
void jemalloc_learn(struct heap *heap, const struct jemalloc_extent *e);
/* Bytes that the program may use of the block in an extent that is no slab. */
uint64_t jemalloc_large_size(const struct heap *heap, const struct jemalloc_extent *e);

/* jemalloc_locate.c: −ENOENT if jemalloc never started. */
int jemalloc_locate(struct memory *mem, const struct maps *maps, struct heap *heap);

/* A block in some thread's cache. */
struct jemalloc_cached {
	uint64_t block;
	unsigned class;
};

/* An arena as it was listed: its struct, and the base that it takes its own structures from. */
struct jemalloc_arena {
	uint64_t addr, base;
};

/* Everything one walk works with. */
struct jemalloc_walk {
	struct heap *heap;
	struct memory *mem;
	const struct maps *maps;
	struct heap_walk *out;
	struct window win;       /* of the heap itself: states of pages only */
	struct page_cache cache; /* of jemalloc's structures */
	struct heap_pages *pages; /* NULL: not asked for */
	struct jemalloc_arena *arenas; /* [ARENA_CNT], by index; addr 0: not listed */
	uint16_t *place;         /* [ARENA_CNT]: index in out->arenas, from 1; 0: none yet */
	size_t arena_cap;
	struct jemalloc_cached *cached; /* by address */
	size_t cached_cnt, cached_cap, cached_next;
	bool caches_seen;
	uint64_t last_end;       /* where the extent before this one ended */
	uint64_t slabs_end;      /* where the run of slabs that pages are marked in ends */
};

/* jemalloc.c: the figures of that arena, made when first asked for; NULL: no memory. */
struct heap_arena *jemalloc_arena(struct jemalloc_walk *w, unsigned index);

/* jemalloc_arenas.c: fills w->arenas from the array, which it finds at first. */
void jemalloc_list_arenas(struct jemalloc_walk *w);
/* What the arenas took for their own structures, as overhead. */
void jemalloc_count_bases(struct jemalloc_walk *w);

/* jemalloc_cache.c: fills w->cached, sorted. */
void jemalloc_collect_cached(struct jemalloc_walk *w);

/* jemalloc_tree.c: what calling for each extent came to. */
struct jemalloc_tour {
	uint64_t extents;
	uint64_t odd;     /* places of the tree that did not lead to where they are, however often read */
	uint64_t odd_at;  /* the first of them */
	uint64_t unread;  /* extents whose struct is swapped out, pages of the tree likewise */
	unsigned retries;
};

typedef void (*jemalloc_extent_fn)(const struct jemalloc_extent *e, void *arg);

/* room: bytes that all of them can have (tally_room). */
void jemalloc_each_extent(const struct heap *heap, struct memory *mem, struct page_cache *cache, uint64_t room,
			  jemalloc_extent_fn fn, void *arg, struct jemalloc_tour *tour);

/* jemalloc_extents.c: counts one, in order of address. */
void jemalloc_count_extent(struct jemalloc_walk *w, const struct jemalloc_extent *e);

#endif
