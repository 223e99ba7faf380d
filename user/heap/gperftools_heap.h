/*
 * What the parts of the gperftools walker share. Layouts were read off src/span.h, pagemap.h,
 * common.h (SizeMap), central_freelist.h and thread_cache.h of 2.8.1, 2.10, 2.16 and 2.18.1 (LP64).
 */
#ifndef ALLOCTRACE_HEAP_GPERFTOOLS_HEAP_H
#define ALLOCTRACE_HEAP_GPERFTOOLS_HEAP_H

#include "heap/data.h"
#include "heap/page_cache.h"
#include "heap/radix.h"
#include "heap/tally.h"
#include "heap/walk.h"
#include "heap/window.h"

#define CLASS_MAX 128 /* kClassSizesMax */
#define CLASS_SIZE_MAX (256U << 10) /* kMaxSize */

/* Span. */
enum span_location {
	SPAN_IN_USE,
	SPAN_NORMAL,   /* free */
	SPAN_RETURNED, /* free, and its pages have been given back */
};

struct span {
	uint64_t start, length; /* in its pages */
	uint64_t next, prev;
	uint64_t objects; /* of a class: the list of those that are free */
	uint32_t bits;
};

static inline unsigned span_refcount(const struct span *s) /* objects that are not on the list */
{
	return s->bits & 0xffff;
}

static inline unsigned span_class(const struct span *s) /* 0: one large block */
{
	return s->bits >> 16 & 0xff;
}

static inline enum span_location span_location(const struct span *s)
{
	return s->bits >> 24 & 3;
}

/* Where ThreadCache keeps its links: behind list_[CLASS_MAX], two sizes and the sampler. */
struct gperftools_row {
	const char *range;
	uint16_t next, prev;
};

extern const struct gperftools_row gperftools_rows[];
extern const size_t gperftools_row_cnt;

#define THREAD_CACHE_BYTES 4160
#define THREAD_WORDS_MAX 8

struct heap {
	struct radix tree;      /* PageHeap::pagemap_ */
	uint64_t root;
	struct data_range data; /* where it lies: the library's data */
	uint64_t sizes;         /* SizeMap::class_to_size_ */
	uint64_t central;       /* central_cache_; 0: not found */
	uint64_t central_step;  /* sizeof(CentralFreeListPadded) */
	uint64_t threads[THREAD_WORDS_MAX]; /* words that lead to a thread's cache: thread_heaps_ and others */
	unsigned thread_word_cnt;
	const struct gperftools_row *row; /* NULL: not known before there are two threads */
};

/* SizeMap, at its own place three arrays one behind the other. */
struct gperftools_sizes {
	int32_t move[CLASS_MAX]; /* objects moved at once, also the number of them in a transfer slot */
	int32_t size[CLASS_MAX];
	uint64_t pages[CLASS_MAX];
};

/* gperftools_locate.c: −ENOENT if there is no such allocator. */
int gperftools_locate(struct memory *mem, const struct maps *maps, struct heap *heap);

/* Everything one walk works with. */
struct gperftools_walk {
	struct heap *heap;
	struct memory *mem;
	struct heap_walk *out;
	struct heap_figures *f;   /* of the one arena */
	struct window win;        /* of the heap itself */
	struct page_cache cache;  /* of what is kept about it */
	struct heap_pages *pages; /* NULL: not asked for */
	struct gperftools_sizes sizes;
	unsigned page_shift;
	uint64_t room; /* bytes that the spans to come can have (tally_room) */
	struct heap_blocks used[CLASS_MAX]; /* objects on no list of a span: live, or in a cache */
	uint64_t *own_pages; /* of the kernel's: those that hold spans' structs and caches */
	size_t own_cnt, own_cap;
	uint64_t last_end;   /* where the span before this one ended */
	uint64_t odd, odd_at, unread, spans;
};

/* Notes that a struct of gperftools' own lies there. */
void gperftools_note_own(struct gperftools_walk *w, uint64_t addr, uint64_t len);
/* gperftools_spans.c: all spans, into *w->f, w->used and the pages. */
void gperftools_count_spans(struct gperftools_walk *w);
/* gperftools_caches.c: tells apart what of w->used is in caches, into *w->f. */
void gperftools_count_caches(struct gperftools_walk *w);

#endif
