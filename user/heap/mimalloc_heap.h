/*
 * What the parts of the mimalloc walker share. A "page" here is mimalloc's: 64 KiB or more of
 * blocks of one size, owned by a heap, which is owned by a thread. A page of the kernel's is
 * called by its size, or a page of the target's.
 */
#ifndef ALLOCTRACE_HEAP_MIMALLOC_HEAP_H
#define ALLOCTRACE_HEAP_MIMALLOC_HEAP_H

#include "heap/data.h"
#include "heap/tally.h"
#include "heap/walk.h"
#include "heap/window.h"

/* include/mimalloc-types.h of 2.0.9, include/mimalloc/types.h of 2.1 to 3.4, 64 bits. */
#define MI_SLICE (64ULL << 10)   /* MI_SEGMENT_SLICE_SIZE, MI_ARENA_SLICE_SIZE */
#define MI_SEGMENT (32ULL << 20) /* MI_SEGMENT_SIZE: size, alignment, and a block of an arena */
#define MI_SLICES 512U           /* a segment's */
#define MI_SIZE_MAX (1ULL << 46)
#define MI_QUEUES 75       /* of pages by size of block, the one of full pages last */
#define MI_RETIRE_MAX (128ULL << 10) /* MI_MAX_RETIRE_SIZE, 2.x */
#define MI_BLOCKS_MAX 8192 /* on a page: the smallest are of 8 bytes */
#define MI_PAGE_STRUCT_MAX 256 /* of a mi_page_t */
#define MI_OPTIONS_MIN 20
#define MI_OPTIONS_MAX 100

/* mi_page_t: offsets in bytes, widths in bytes where they differ. */
struct mi_page_layout {
	uint8_t size; /* of the struct */
	uint8_t capacity, reserved;
	uint8_t free, local_free, thread_free;
	uint8_t used, used_width;
	uint8_t block_size, block_size_width;
	uint8_t start; /* where the blocks begin; 0: by a rule */
	uint8_t start_unit; /* … so many bytes times a half word, behind the struct; 0: it is an address */
	uint8_t next; /* and prev behind it */
	uint8_t heap;   /* owner; of 3.2 and later its theap */
	uint8_t thread; /* 3.x: xthread_id, whose low bits are flags */
	uint8_t memid;  /* 3.x */
	uint8_t flags, full_mask, aligned_mask; /* byte and bits of in_full and has_aligned */
	uint8_t retired, retired_mask;          /* of retire_expire */
};

/* mi_heap_t, from 3.2 on mi_theap_t. */
struct mi_heap_layout {
	uint16_t queues;
	uint8_t queue_size, queue_block; /* mi_page_queue_t: its size, and block_size in it */
	uint16_t tld, delayed, thread, cookie; /* cookie: 2.x */
	uint8_t tld_thread;  /* in mi_tld_t: thread_id; 2.x has it in the heap */
	uint8_t tld_backing; /* in mi_tld_t: the first heap of the thread; 0: it is not told */
	uint16_t owner;      /* of a theap: the heap that it is part of, whichever the thread; 0: it is no theap */
};

/* mi_segment_t. */
struct mi_segment_layout {
	uint16_t pinned, arena; /* bytes that say: not to be given back; where it comes from */
	uint8_t arena_kind;     /* … if it has that value it is an arena, else the kernel; 0: not 0 is an arena */
	uint16_t allow;         /* allow_decommit, allow_purge */
	uint16_t bytes;         /* segment_size; 0: none */
	uint16_t expire, purge, commit; /* purge_expire, purge_mask, commit_mask */
	uint16_t used, cookie;
	uint16_t slices; /* segment_slices, segment_info_slices */
	uint16_t kind, entries, thread;
	uint16_t first; /* slices[0] */
};

/* mi_arena_t of 2.x. */
struct mi_arena_layout {
	uint16_t start, blocks; /* start, block_count and field_count */
	uint16_t pinned;
	uint16_t purge; /* blocks_purge; 0: none */
	uint16_t inuse; /* blocks_inuse[] */
};

/* mi_arena_t of 3.x. */
struct mi_slices_layout {
	uint16_t cnt;   /* slice_count, and info_slices behind it */
	uint16_t free;  /* slices_free, _committed, _dirty and _purge */
	uint16_t metas; /* pages_meta; 0: none */
	uint64_t region; /* each such a part begins with a mi_page_t a slice, the first word of which leads to its page; 0: none */
	uint16_t map_head; /* bytes of the page map before its list */
	uint16_t start; /* the address that slices begin at; 0: that of the struct */
	uint8_t arena_kind, os_kind; /* mi_memkind_t: of an arena; the first of the kernel */
	uint8_t huge_purges; /* allow_thp from which a purge keeps huge pages whole */
};

/* How mi_collect(true) of a range of versions behaves. */
struct mi_ways {
	bool keeps_segments;    /* free segments are kept, and returned by a collect; else they go to the arena */
	bool collects_segments; /* visiting a page purges its segment, before the page itself is freed */
	bool main_purges_arenas; /* only the main thread's */
	bool frees_thread_data;  /* what ended threads leave of their own is unmapped, by the main thread's */
	bool loses_mapped;       /* abandoned segments with a mapping of their own are not reclaimed */
	bool frees_inside;       /* an aligned block goes to its list by the pointer inside of it */
};

struct mi_row {
	const char *range; /* of versions, for people */
	const struct mi_heap_layout *heap;
	const struct mi_page_layout *page;
	const struct mi_segment_layout *segment; /* NULL: 3.x */
	const struct mi_arena_layout *arena;     /* NULL: 3.x */
	const struct mi_slices_layout *slices;   /* NULL: 2.x */
	uint32_t thread_data; /* bytes of pages that hold a mi_thread_data_t: heap and mi_tld_t */
	struct mi_ways ways;
};

extern const struct mi_row mi_rows[];
extern const size_t mi_row_cnt;

/* Which of the options that matter is where in the table; 0: this version has none of that name. */
enum mi_option {
	MI_PURGE_DELAY,
	MI_PURGE_DECOMMITS,
	MI_ALLOW_DECOMMIT,
	MI_SEGMENT_DELAY,
	MI_ARENA_MULT,
	MI_MINIMAL_PURGE,
	MI_ALLOW_THP,
	MI_OPTION_CNT
};

struct heap {
	const struct mi_row *row;
	struct data_range data; /* the object's */
	uint64_t options;       /* its table of options */
	uint8_t option[MI_OPTION_CNT];
	uint64_t main_heap; /* the main thread's */
	uint64_t cookie;    /* 2.x: of all segments, xor their address */
};

/* A page as read at one moment. */
struct mi_page {
	uint64_t meta;       /* address of its mi_page_t */
	uint64_t start, end; /* of the memory that goes back as a whole */
	uint64_t area;       /* where the blocks begin */
	uint64_t block_size;
	uint64_t free, local_free, thread_free; /* heads of lists */
	uint64_t heap, thread, next;
	uint32_t used, capacity, reserved;
	bool retired, alone; /* as of a span */
	bool aligned;     /* pointers may lie inside of blocks … */
	uint64_t inside;  /* … so far */
	bool huge;    /* one block, with memory of its own: not judged by its address */
};

/* Where what is counted belongs: a thread, the abandoned pages, or nobody. */
struct mi_owner {
	uint64_t thread; /* 0: abandoned */
	bool nobody;     /* memory that is in no page */
	struct heap_arena arena;
};

enum mi_span_state {
	SPAN_IN_USE,
	SPAN_EMPTY,    /* a page without blocks, still its heap's */
	SPAN_FREE,
	SPAN_ABSORBED, /* now part of the free one before it (mimalloc_collect.c) */
};

/* A run of slices of a segment. */
struct mi_span {
	uint64_t next; /* in its heap's queue */
	uint32_t slice, cnt;
	uint32_t run; /* slices, with what it has absorbed */
	uint8_t state;
	uint8_t was;  /* before the collect */
	bool retired; /* empty, and kept at the head of its queue for a while */
	bool alone;   /* would be, were it empty: the only one in its queue, and not large */
};

#define MI_WORDS (MI_SLICES / 64)

struct mi_segment {
	uint64_t addr, bytes, thread;
	uint32_t first, cnt; /* of spans */
	uint32_t info, entries, used;
	bool empty; /* no page in use: kept for reuse */
	bool huge, allow, from_arena, pinned;
	uint64_t expire; /* ms of CLOCK_MONOTONIC; 0: none */
	uint8_t expiry; /* enum in mimalloc_collect.c */
	uint8_t returned; /* by whose collect as a whole: enum mi_who */
	uint64_t purge[MI_WORDS], commit[MI_WORDS];
	uint64_t main[MI_WORDS], other[MI_WORDS]; /* slices that a collect by the main thread, by their own returns */
};

enum mi_who { BY_NOBODY, BY_MAIN, BY_OTHER };

/* A heap that pages belong to. */
struct mi_heap {
	uint64_t addr;
	uint64_t thread;
	uint64_t delayed; /* blocks that other threads have freed on its full pages: a list */
	size_t first, cnt; /* … as followed, in the walk's delayed */
	bool collects;    /* mi_collect by its thread goes through it */
};

/* Arena of 2.x, while walking. */
struct mi_area {
	uint64_t addr; /* of its struct */
	uint64_t start, bytes;
	uint64_t purge_at;
	bool pinned;
	uint64_t *inuse, *purge; /* one bit a block; purge NULL: none */
};

struct mi_options {
	int64_t v[MI_OPTION_CNT];
};

/* Everything one walk works with. */
struct mi_walk {
	const struct heap *heap;
	struct memory *mem;
	const struct maps *maps;
	struct window win;
	struct heap_walk *walk;
	struct heap_pages *pages; /* NULL: not asked for */
	struct mi_options options;
	uint64_t now_ms;
	struct mi_owner *owners;
	size_t owner_cnt, owner_cap;
	struct mi_segment *segments; /* by address */
	size_t segment_cnt, segment_cap;
	struct mi_span *spans;
	size_t span_cnt, span_cap;
	struct mi_heap *heaps; /* [0] is the main thread's */
	size_t heap_cnt, heap_cap;
	uint64_t *delayed; /* blocks on heaps' lists, one after the other */
	size_t delayed_cnt, delayed_cap;
	uint64_t *sorted; /* the same by address */
	struct mi_area *areas;
	size_t area_cnt;
	struct data_range *covered; /* by segments, ascending, those that make no sense too */
	size_t covered_cnt, covered_cap;
	char *bytes; /* of a segment's header */
	bool huge_pages; /* 3.x: the kernel makes some of what is large */
	uint64_t known_meta, known_slice; /* 3.x: of a page in an arena; 0: none */
	uint64_t map[MI_BLOCKS_MAX / 64]; /* blocks of one page that are not in use */
	unsigned retries;
	bool no_memory;
};

#define MI_THREADS_MAX 65536
#define MI_SEGMENTS_MAX (1U << 22) /* 128 TB */
#define MI_DELAYED_MAX 524288      /* followed in one walk */
#define MI_HEADER_MAX (64UL << 10) /* of a segment */

/* Queues of pages by the sizes of their blocks, which are those of no one else. */
bool mi_are_queues(const char *at, const struct mi_heap_layout *l);
#define MI_QUEUES_CHECKED 16
/* mimalloc_locate.c: −ENOENT if no mimalloc has been used. */
int mi_locate(struct memory *mem, const struct maps *maps, struct heap *heap);
void mi_read_options(const struct heap *heap, struct memory *mem, struct mi_options *options);

/* mimalloc_layout.c */
static inline uint64_t mi_word(const char *at)
{
	uint64_t value;

	__builtin_memcpy(&value, at, sizeof(value));
	return value;
}

static inline uint32_t mi_half(const char *at)
{
	uint32_t value;

	__builtin_memcpy(&value, at, sizeof(value));
	return value;
}

/* What a mi_page_t says; start, end and (where a rule tells it) area are the caller's. */
void mi_decode_page(const struct mi_page_layout *l, const char *bytes, struct mi_page *page);

/* Whether nothing of it has changed. */
static inline bool mi_same_page(const struct mi_page *a, const struct mi_page *b)
{
	return a->block_size == b->block_size && a->area == b->area && a->used == b->used &&
	       a->capacity == b->capacity && a->reserved == b->reserved && a->free == b->free &&
	       a->local_free == b->local_free && a->thread_free == b->thread_free && a->heap == b->heap;
}

/* Room for one more; false: there is none, and w->no_memory. */
bool mi_grow(struct mi_walk *w, void *v, size_t *cap, size_t cnt, size_t size);

/* mimalloc_owners.c: NULL without memory, or with too many threads. */
struct heap_arena *mi_owner(struct mi_walk *w, uint64_t thread);
struct heap_arena *mi_nobody(struct mi_walk *w);
/* Counts memory that no block lies in, by who would return it. */
void mi_count_free(struct mi_walk *w, struct heap_arena *a, uint64_t start, uint64_t end, enum mi_who who);
void mi_count_header(struct mi_walk *w, struct heap_arena *a, uint64_t start, uint64_t end, enum mi_who who);
/* So many bytes in a row are free, or are a page without blocks. */
void mi_note_free(struct mi_walk *w, struct heap_arena *a, uint64_t bytes);
void mi_note_empty(struct mi_walk *w, struct heap_arena *a, uint64_t bytes);
void mi_broken(struct heap_arena *a, uint64_t at, const char *why); /* the first one counts */
/* The owners become the walk's arenas, largest first, main before all. 0 or −ENOMEM. */
int mi_conclude(struct mi_walk *w);

/* mimalloc_page.c */
enum mi_verdict {
	MI_PAGE_COUNTED,
	MI_PAGE_EMPTY,   /* no block is in use: not counted */
	MI_PAGE_CHANGED, /* it contradicts itself: read it again, or count it as it is */
	MI_PAGE_BROKEN,  /* it makes no sense, the last time too: not counted */
};
/* Counts the page into *a, but if it is empty. last: count it whatever it says. */
enum mi_verdict mi_count_page(struct mi_walk *w, const struct mi_page *page, bool last, struct heap_arena *a);

/* mimalloc_segments.c, 2.x */
bool mi_has_segments(struct memory *mem, const struct maps *maps, const struct heap *heap);
int mi_walk_segments(struct mi_walk *w);
/* mimalloc_collect.c, 2.x */
void mi_collect(struct mi_walk *w);
/* Who would return that slice. */
enum mi_who mi_returned(const struct mi_segment *s, uint32_t slice);
bool mi_arena_purges(const struct mi_walk *w, enum mi_who who);
/* mimalloc_areas.c, 2.x */
int mi_read_areas(struct mi_walk *w);
void mi_count_areas(struct mi_walk *w);
/* Of threads, and of threads that have ended. */
void mi_count_thread_data(struct mi_walk *w);
void mi_free_areas(struct mi_walk *w);
/* mimalloc_slices.c, 3.x */
bool mi_has_slices(struct memory *mem, const struct heap *heap);
int mi_walk_slices(struct mi_walk *w);
void mi_decode_slice_page(struct mi_walk *w, const char *bytes, uint64_t meta, struct mi_page *p);
/* As mi_count_page, reading the page again while it changes. */
enum mi_verdict mi_count_slice_page(struct mi_walk *w, struct mi_page *p, struct heap_arena *a);
/* Whose collect would free the page, if it is empty. */
enum mi_who mi_who_frees(const struct mi_walk *w, const struct mi_page *p);
/* mimalloc_mapped.c, 3.x: pages with memory of their own. After those of arenas. 0 or −errno. */
int mi_walk_mapped(struct mi_walk *w);

#endif
