/*
 * Spans, by the page map. Every span has an entry at its first and its last page, one of a size
 * class at every page; between them there may be entries of spans that are no more, so they are
 * passed over. A purge (ReleaseFreeMemory) returns the free spans and nothing else: a span of
 * small blocks is free once the last of them has come back from every cache.
 */
#include "heap/gperftools_heap.h"

#define ATTEMPTS 4
/* In one walk: a heap that is all doubt is not worth more. */
#define RETRIES_MAX 10000
#define BAD_MAX (1U << 17)
#define SPAN_BYTES 44

/* Resident bytes of [start, end). */
static uint64_t resident_of(struct gperftools_walk *w, uint64_t start, uint64_t end)
{
	return start < end ? window_resident(&w->win, start, end) : 0;
}

/*
 * What is resident of the unused objects of a span that is not resident as a whole: its list
 * of them is followed. They are large then: small ones were all written when the list was made.
 */
static uint64_t resident_unused(struct gperftools_walk *w, const struct span *span, uint64_t size,
				uint64_t cnt)
{
	uint64_t start = span->start << w->page_shift, end = start + (span->length << w->page_shift);
	uint64_t sum = 0, object = span->objects;

	for (uint64_t i = 0; i < cnt; i++) {
		if (object < start || object >= end || (object - start) % size) {
			w->out->estimate = true;
			break;
		}
		sum += resident_of(w, object, object + size);
		if (!page_cache_copy(&w->cache, object, &object, sizeof(object)))
			object = 0;
	}
	return sum;
}

static void note_span(struct gperftools_walk *w, const struct span *span, uint64_t size, uint64_t unused)
{
	struct heap_page page = {
		.addr = span->start << w->page_shift,
		.free = (uint32_t)unused,
		.holders = (uint16_t)span_refcount(span),
		.pages = (uint16_t)((span->length << w->page_shift) / TARGET_PAGE_SIZE),
	};
	struct heap_blocks held = {page.holders, unused};

	if (!unused || !page.holders)
		return;
	heap_pages_add(w->pages, &page);
	heap_blocks_add(&w->out->pinned_class[size_class(size)], &held);
}

static void count_objects(struct gperftools_walk *w, const struct span *span)
{
	struct heap_figures *f = w->f;
	unsigned class = span_class(span);
	uint64_t size = (uint64_t)w->sizes.size[class];
	uint64_t start = span->start << w->page_shift, len = span->length << w->page_shift;
	uint64_t cnt = len / size, used = span_refcount(span) < cnt ? span_refcount(span) : cnt;
	uint64_t tail = len - cnt * size, resident = f->resident, unused;

	tally_range(&w->win, start, start + len, f);
	if (f->resident - resident == len)
		unused = (cnt - used) * size + tail;
	else
		unused = resident_unused(w, span, size, cnt - used) +
			 resident_of(w, start + cnt * size, start + len);
	f->pinned.partial += unused;
	f->overhead += tail;
	heap_blocks_add(&w->used[class], &(struct heap_blocks){used, used * size});
	heap_blocks_add(&f->bins, &(struct heap_blocks){cnt - used, (cnt - used) * size});
	heap_blocks_add(&w->out->free_class[size_class(size)],
			&(struct heap_blocks){cnt - used, (cnt - used) * size});
	if (w->pages)
		note_span(w, span, size, unused);
}

static void count_free(struct gperftools_walk *w, const struct span *span, uint64_t start, uint64_t len)
{
	struct heap_figures *f = w->f;
	uint64_t resident = f->resident, shared = f->shared;

	tally_range(&w->win, start, start + len, f);
	if (len > f->largest_free)
		f->largest_free = len;
	blocks_add(&w->out->free_class[size_class(len)], len);
	if (span_location(span) == SPAN_RETURNED) {
		f->top += len;
		f->pinned.policy += f->resident - resident;
		return;
	}
	blocks_add(&f->fast, len);
	f->purgeable += f->resident - resident;
	f->purgeable_shared += f->shared - shared;
}

static void count_span(struct gperftools_walk *w, const struct span *span)
{
	uint64_t start = span->start << w->page_shift, len = span->length << w->page_shift;

	w->f->held += len;
	w->out->arenas[0].heap_cnt += start != w->last_end;
	w->last_end = start + len;
	if (span_location(span) != SPAN_IN_USE) {
		count_free(w, span, start, len);
	} else if (span_class(span)) {
		count_objects(w, span);
	} else {
		tally_range(&w->win, start, start + len, w->f);
		blocks_add(&w->f->live, len);
		blocks_add(&w->out->live_step[size_step(len)], len);
	}
}

enum look {
	LOOK_FOUND,
	LOOK_NONE,   /* nothing begins there */
	LOOK_UNREAD, /* it cannot be read */
	LOOK_INSIDE, /* a span that begins before it has grown over it, behind us */
	LOOK_ODD,    /* it does not agree with what leads there */
};

static enum look judge(const struct gperftools_walk *w, const struct span *span, uint64_t addr)
{
	uint64_t end = ADDRESS_END >> w->page_shift, page = addr >> w->page_shift;
	unsigned class = span_class(span);

	if (!span->start || !span->length || span->start >= end || span->length > end - span->start ||
	    span->length << w->page_shift > w->room || span_location(span) > SPAN_RETURNED ||
	    page < span->start || page - span->start >= span->length)
		return LOOK_ODD;
	if (class && (class >= CLASS_MAX || w->sizes.size[class] <= 0 ||
		      (uint64_t)w->sizes.size[class] > span->length << w->page_shift))
		return LOOK_ODD;
	return page == span->start ? LOOK_FOUND : LOOK_INSIDE;
}

/* The struct is read from the target itself where what is kept of it may have changed since. */
static enum look look_at(struct gperftools_walk *w, uint64_t addr, uint64_t element, bool again,
			 struct span *span)
{
	if (!element)
		return LOOK_NONE;
	if (element % 8 || element >= ADDRESS_END)
		return LOOK_ODD;
	if (again ? window_peek(w->mem, element, span, SPAN_BYTES) != 0
		  : !page_cache_copy(&w->cache, element, span, SPAN_BYTES))
		return LOOK_UNREAD;
	return judge(w, span, addr);
}

static uint64_t visit(uint64_t addr, uint64_t element, uint64_t at, void *arg)
{
	struct gperftools_walk *w = arg;
	enum look look = LOOK_NONE;
	struct span span;

	for (unsigned attempt = 0; attempt < ATTEMPTS; attempt++) {
		look = look_at(w, addr, element, attempt > 0, &span);
		if (look == LOOK_NONE || look == LOOK_FOUND || w->out->retries >= RETRIES_MAX)
			break;
		/* It has changed since, or it changes now. */
		w->out->retries++;
		if (window_peek(w->mem, at, &element, sizeof(element)) != 0)
			break;
	}
	w->unread += look == LOOK_UNREAD;
	if (look == LOOK_ODD && !w->odd++)
		w->odd_at = addr;
	if (w->odd + w->unread > BAD_MAX)
		return RADIX_END;
	if (look != LOOK_FOUND)
		return look == LOOK_INSIDE ? (span.start + span.length) << w->page_shift : 0;
	w->spans++;
	w->room -= span.length << w->page_shift;
	gperftools_note_own(w, element, sizeof(span));
	count_span(w, &span);
	return addr + (span.length << w->page_shift);
}

void gperftools_count_spans(struct gperftools_walk *w)
{
	if (!radix_walk(&w->heap->tree, w->heap->root, w->mem, visit, w))
		w->unread++;
}
