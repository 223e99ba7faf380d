/*
 * What the parts of the glibc walker share: the layout that a target turned out to have, one
 * arena as read at one moment, and what has been counted so far.
 */
#ifndef ALLOCTRACE_HEAP_GLIBC_HEAP_H
#define ALLOCTRACE_HEAP_GLIBC_HEAP_H

#include "heap/tally.h"
#include "heap/walk.h"
#include "heap/window.h"

/* malloc/malloc.c, all versions from 2.17 to 2.43, LP64. */
#define CHUNK_PREV_INUSE 1ULL
#define CHUNK_IS_MMAPPED 2ULL
#define CHUNK_NON_MAIN 4ULL
#define CHUNK_FLAGS 7ULL
#define CHUNK_FENCE 0x10ULL    /* a header alone: fenceposts */
#define CHUNK_MIN 0x20ULL      /* MINSIZE */
#define CHUNK_FAST_MAX 0xb0ULL /* NFASTBINS of 10: mallopt(M_MXFAST) can raise 0x80 to this */
#define CHUNK_SIZE_MAX (1ULL << 46)
#define FASTBIN_CNT 10
#define BIN_PAIRS 127                  /* NBINS − 1 */
#define ARENA_MAX 65536                /* the list of arenas ends here whatever it says */
#define HEAP_MAX_DEFAULT (64ULL << 20) /* HEAP_MAX_SIZE in malloc/arena.c; alignment and size of a heap */

/* struct malloc_par. Offsets in bytes; 0: the version has no such field. */
struct glibc_par {
	uint16_t thp_pagesize, hp_pagesize;
	uint16_t n_mmaps;     /* followed by n_mmaps_max, max_n_mmaps and no_dyn_threshold, 32 bits each */
	uint16_t mmapped_mem; /* followed by max_mmapped_mem */
	uint16_t sbrk_base;
	uint16_t tcache_count;
	uint16_t size;
};

#define PAR_TRIM_THRESHOLD 0
#define PAR_TOP_PAD 8
#define PAR_MMAP_THRESHOLD 16
#define PAR_ARENA_MAX 32
#define PAR_SIZE_MAX 160

/* struct tcache_perthread_struct. */
struct glibc_tcache {
	uint16_t chunk; /* size of the chunk that holds one */
	uint8_t bins;
	uint8_t width;    /* bytes of a counter */
	uint16_t entries; /* offset of entries[] */
	bool down;        /* the counters say how many more fit */
};

#define TCACHE_BINS_MAX 76
#define TCACHE_SMALL_BINS 64 /* chunks of one size; the bins behind hold powers of two */
#define TCACHE_STRUCT_MAX 0x300

/* What a range of versions has in common; glibc_layout.c. */
struct glibc_row {
	unsigned from, to;   /* 2·1000+17 … */
	const char *range;   /* for people */
	uint16_t bins;       /* offset of bins[] in struct malloc_state */
	uint16_t fastbins;   /* of fastbinsY[]; 0: none */
	uint16_t system_mem; /* from `next` on */
	uint16_t heap_info;  /* sizeof(heap_info), malloc/arena.c */
	bool safe_linking;
	const struct glibc_par *par;
	const struct glibc_tcache *tcache; /* NULL: none */
};

extern const struct glibc_row glibc_rows[];
extern const size_t glibc_row_cnt;

/* What malloc_par says at one moment. */
struct glibc_params {
	uint64_t trim_threshold, top_pad, mmap_threshold;
	uint64_t arena_max; /* 0: by the number of cores */
	uint64_t thp_pagesize, hp_pagesize;
	uint64_t n_mmaps, mmapped_mem;
	uint64_t sbrk_base;
	uint64_t tcache_count;
};

struct heap {
	const struct glibc_row *row;
	unsigned version; /* the exact one, 0 if only the range is known */
	uint64_t main_arena;
	uint64_t par;        /* address of mp_; 0: not found */
	uint16_t system_mem; /* offset in malloc_state, decided by value: distributions backport fields */
};

/* struct malloc_state, as far as the walk needs it. */
struct glibc_arena {
	uint64_t addr;
	uint64_t top, top_size;
	uint64_t next;
	uint64_t system_mem;
	uint64_t attached; /* threads; only from 2.23 on */
	uint64_t fast[FASTBIN_CNT];
	bool contiguous; /* NONCONTIGUOUS_BIT is clear */
};

/* Offsets in malloc_state that hang on the place of bins[]. */
static inline uint16_t glibc_next_offset(const struct glibc_row *row)
{
	return row->bins + 2 * 8 * BIN_PAIRS + 16; /* binmap[4] lies between */
}

/* malloc_state counts its threads (attached_threads), from 2.23 on: right before system_mem. */
static inline bool glibc_counts_threads(const struct heap *heap)
{
	return heap->system_mem - glibc_next_offset(heap->row) == 24;
}

/* glibc_layout.c: 0, or −ENODATA where the page is not in RAM or the struct is none. */
int glibc_read_arena(const struct heap *heap, struct memory *mem, uint64_t addr, struct glibc_arena *arena);
int glibc_read_params(const struct heap *heap, struct memory *mem, struct glibc_params *params);
uint64_t glibc_arena_size(const struct heap *heap); /* sizeof(struct malloc_state) */
/* The heap (address range of its own) that addr of a non-main arena lies in; 0 if there is none. */
uint64_t glibc_heap_of(const struct heap *heap, struct memory *mem, const struct glibc_params *params,
		       uint64_t addr);

/* Private anonymous memory, of huge pages too (glibc.malloc.hugetlb=2). */
bool glibc_is_huge(const struct mapping *m);
static inline bool glibc_is_heap(const struct mapping *m)
{
	return mapping_is_anon_rw(m) || glibc_is_huge(m);
}

/* glibc.c: qsort order of uint64_t addresses. */
int glibc_by_address(const void *a, const void *b);

/* glibc_locate.c: −ENOENT if ptmalloc never started. */
int glibc_locate(struct memory *mem, const struct maps *maps, unsigned file_version, struct heap *heap);

/* What is counted, over one arena. */
struct glibc_tally {
	struct heap_figures f; /* live includes thread caches until they are told apart */
	struct heap_blocks live_step[STEP_CNT], free_class[HEAP_CLASS_CNT], pinned_class[HEAP_CLASS_CNT];
	uint64_t walked;
	bool estimate;
};

/* Chunks that may hold a tcache struct: found while walking, looked into afterwards. Bounded. */
struct glibc_candidates {
	uint64_t *chunk;
	size_t cnt;
};

/* The fast chunks of one arena, sorted by address; or too many to follow. */
struct glibc_fast {
	uint64_t *chunk;
	size_t cnt;
	bool too_many; /* tell by looks instead */
};

/*
 * Lists are followed exactly up to so many chunks, and so many pages that had to be read for it:
 * in one walk (some 0.1 s), but a few for every arena.
 */
#define FAST_EXACT_MAX 524288
#define FAST_LOADS_MAX 30000
#define FAST_LOADS_MIN 500
#define TCACHES_MAX 65536

/* Everything one walk works with. */
struct glibc_walk {
	const struct heap *heap;
	struct memory *mem;
	struct glibc_params params;
	struct window win;
	struct glibc_fast fast;
	unsigned fast_loads; /* pages read for fast lists so far */
	struct glibc_candidates tcaches;
	struct heap_pages *pages; /* NULL: not asked for */
	bool *by_looks;           /* by arena: its fast chunks were told by their looks */
	unsigned retries;
};

/* glibc_holders.c: the page that the walk has come to, with what is free and what is in use on it. */
#define HOLDERS_MAX (TARGET_PAGE_SIZE / CHUNK_MIN + 1)

struct glibc_holders {
	struct heap_page page;
	uint8_t class[HOLDERS_MAX]; /* size classes of the holders */
	size_t page_cnt;            /* pages recorded so far */
};

/* In the order of addresses, whichever of them: bytes that stay free, chunks in use, headers. */
void glibc_holders_free(struct glibc_walk *w, struct glibc_holders *h, struct glibc_tally *t, uint64_t start,
			uint64_t end);
void glibc_holders_live(struct glibc_walk *w, struct glibc_holders *h, struct glibc_tally *t, uint64_t chunk,
			uint64_t size);
void glibc_holders_header(struct glibc_walk *w, struct glibc_holders *h, struct glibc_tally *t,
			  uint64_t start, uint64_t end);
void glibc_holders_end(struct glibc_walk *w, struct glibc_holders *h, struct glibc_tally *t);

/* How much has been recorded beside the tally, to go back to. */
struct glibc_mark {
	size_t tcaches, pages, extents;
};

static inline struct glibc_mark glibc_mark(const struct glibc_walk *w)
{
	return (struct glibc_mark){
		.tcaches = w->tcaches.cnt,
		.pages = w->pages ? w->pages->cnt : 0,
		.extents = w->pages ? w->pages->extent_cnt : 0,
	};
}

static inline void glibc_rewind(struct glibc_walk *w, const struct glibc_mark *mark)
{
	w->tcaches.cnt = mark->tcaches;
	if (w->pages)
		heap_pages_truncate(w->pages, mark->pages, mark->extents);
}

/* glibc_runs.c: what a chain amounts to, as far as it has been walked. */
struct glibc_runs {
	uint64_t floor;              /* where the region begins */
	uint64_t page;               /* pages below are counted */
	uint64_t run_start, run_end; /* adjacent free chunks that a trim would make one of; equal: none */
	bool run_fast;               /* the last of them is fast, so what follows merges with it */
	bool huge;                   /* of the pool's huge pages: mtrim's advice fails, RSS has none of it */
	struct glibc_tally tally;
	struct glibc_holders holders; /* where pages are asked for */
};

void glibc_runs_begin(struct glibc_runs *r, uint64_t floor, bool huge, const struct glibc_tally *tally);
void glibc_runs_live(struct glibc_walk *w, struct glibc_runs *r, uint64_t chunk, uint64_t size);
void glibc_runs_free(struct glibc_walk *w, struct glibc_runs *r, uint64_t chunk, uint64_t size, bool fast);
void glibc_runs_overhead(struct glibc_walk *w, struct glibc_runs *r, uint64_t start, uint64_t end);
/* trimmed: malloc_trim shrinks this top. */
void glibc_runs_top(struct glibc_walk *w, struct glibc_runs *r, uint64_t top, uint64_t size, bool trimmed);
void glibc_runs_end(struct glibc_walk *w, struct glibc_runs *r, uint64_t end);

/* glibc_chunks.c */
enum chain_end {
	CHAIN_TOP,    /* at the arena's top */
	CHAIN_FENCE,  /* at a fence: the region or heap ends */
	CHAIN_BROKEN, /* at something that is no chunk */
};

struct chain {
	uint64_t arena; /* address of the arena's state */
	uint64_t start; /* the first chunk */
	uint64_t limit; /* no chunk reaches beyond, not even when top moves meanwhile */
	uint64_t floor; /* the region's first byte, counted from here as resident */
	bool main;
	bool heap_end;             /* an older heap of a non-main arena: it ends at a header of size 0 */
	bool trims_top;            /* malloc_trim shrinks this top */
	bool huge;                 /* made of the pool's huge pages */
	struct glibc_arena at_top; /* out, CHAIN_TOP: the arena as read when its top was reached */
	uint64_t end;              /* out: the first byte behind; where it broke */
	const char *broken;        /* out: why, static */
};

enum chain_end glibc_walk_chain(struct glibc_walk *w, struct chain *chain, struct glibc_tally *tally);
/* Whether addr can begin a chain of chunks: many of them make sense, or all up to top or a fence. */
bool glibc_is_chain(struct glibc_walk *w, uint64_t addr, uint64_t limit, uint64_t top);
/* The first address in [from, limit) where a believable chain begins, 0 if none. */
uint64_t glibc_find_chain(struct glibc_walk *w, uint64_t from, uint64_t limit, uint64_t top);

/* glibc_arena.c: walks one arena into *out and adds its classes to *walk. */
void glibc_walk_arena(struct glibc_walk *w, uint64_t addr, const struct maps *maps, struct heap_arena *out,
		      struct glibc_tally *tally);

/* glibc_cache.c */
void glibc_read_fast(struct glibc_walk *w, const struct glibc_arena *arena);
bool glibc_may_be_tcache(const struct glibc_walk *w, uint64_t size); /* the chunk has the size for it */
bool glibc_looks_like_tcache(const struct glibc_walk *w, const char *bytes); /* and the contents */
/* Moves the blocks of thread caches from live to where they belong. */
void glibc_count_tcaches(struct glibc_walk *w, struct heap_walk *walk);

/* glibc_mmapped.c */
void glibc_count_mmapped(struct glibc_walk *w, const struct maps *maps, struct heap_walk *walk);

#endif
