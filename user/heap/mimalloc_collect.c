/*
 * What mi_collect(true) would do, were it called now: by the main thread first, then by each
 * other one for its own pages. It is played through page by page, since what is purged depends
 * on the order (src/heap.c: mi_heap_collect_ex, src/segment.c: mi_segment_schedule_purge):
 *
 * A page that is freed becomes part of the free span around it, which is to be purged some
 * time later. An earlier such order that has expired by now is carried out at that moment; a later
 * one is not, unless a page of the same segment is visited after
 * (2.1.4 and later) or the segment is free altogether. 2.0.9 does only these two, so that most
 * of what is free in a segment in use stays.
 */
#include "base/search.h"
#include "heap/mimalloc_heap.h"

/* Of a segment's purge_expire, as it looks to a call that is made now. */
enum expiry {
	EXPIRE_NONE,
	EXPIRE_PAST,
	EXPIRE_LATER, /* or set during the collect */
};

struct collect {
	struct mi_walk *w;
	enum mi_who who;
};

static void set_slices(uint64_t mask[MI_WORDS], uint32_t slice, uint32_t cnt, const uint64_t *within)
{
	for (uint32_t i = slice; i < slice + cnt && i < MI_SLICES; i++)
		if (!within || within[i / 64] >> i % 64 & 1)
			mask[i / 64] |= 1ULL << i % 64;
}

enum mi_who mi_returned(const struct mi_segment *s, uint32_t slice)
{
	if (s->returned || slice >= MI_SLICES)
		return s->returned;
	if (s->main[slice / 64] >> slice % 64 & 1)
		return BY_MAIN;
	return s->other[slice / 64] >> slice % 64 & 1 ? BY_OTHER : BY_NOBODY;
}

/* Whether a purge takes memory off RSS at all: PURGE_DECOMMITS=0 makes it MADV_FREE. */
static bool decommits(const struct mi_walk *w)
{
	return w->heap->row->ways.keeps_segments ? w->options.v[MI_ALLOW_DECOMMIT] != 0
						 : w->options.v[MI_PURGE_DECOMMITS] != 0;
}

static bool is_empty(const uint64_t mask[MI_WORDS])
{
	for (unsigned i = 0; i < MI_WORDS; i++)
		if (mask[i])
			return false;
	return true;
}

/* mi_segment_try_purge, forced. */
static void purge(struct collect *c, struct mi_segment *s)
{
	if (!s->allow || s->expiry == EXPIRE_NONE || is_empty(s->purge))
		return;
	s->expiry = EXPIRE_NONE;
	for (unsigned i = 0; i < MI_WORDS; i++) {
		if (decommits(c->w))
			*(c->who == BY_MAIN ? &s->main[i] : &s->other[i]) |= s->purge[i];
		if (c->w->heap->row->ways.keeps_segments)
			s->commit[i] &= ~s->purge[i];
		s->purge[i] = 0;
	}
}

/* mi_segment_schedule_purge */
static void schedule(struct collect *c, struct mi_segment *s, const struct mi_span *span)
{
	if (!s->allow)
		return;
	set_slices(s->purge, span->slice, span->run, s->commit);
	if (c->w->options.v[MI_PURGE_DELAY] == 0 || s->expiry == EXPIRE_PAST) {
		s->expiry = EXPIRE_PAST;
		purge(c, s);
	} else {
		s->expiry = EXPIRE_LATER;
	}
}

/* What is scheduled for an arena's block is purged by the same collect. */
bool mi_arena_purges(const struct mi_walk *w, enum mi_who who)
{
	return w->options.v[MI_PURGE_DELAY] >= 0 && w->options.v[MI_ARENA_MULT] >= 0 &&
	       w->options.v[MI_PURGE_DECOMMITS] != 0 &&
	       (who == BY_MAIN || !w->heap->row->ways.main_purges_arenas);
}

/* mi_segment_free: to the kernel, at once or (2.0.9) by way of those kept for reuse; or to its arena. */
static void free_segment(struct collect *c, struct mi_segment *s)
{
	if (s->pinned)
		return;
	if (!s->from_arena || mi_arena_purges(c->w, c->who))
		s->returned = (uint8_t)c->who;
}

/* mi_segment_span_free_coalesce: span i is free, and one with its free neighbours. */
static void coalesce(struct collect *c, struct mi_segment *s, uint32_t i)
{
	struct mi_span *spans = c->w->spans, *span = &spans[i];
	uint32_t next = i + 1, prev = i;

	if (s->huge)
		return;
	span->state = SPAN_FREE;
	while (next < s->first + s->cnt && spans[next].state == SPAN_ABSORBED)
		next++;
	if (next < s->first + s->cnt && spans[next].state == SPAN_FREE) {
		span->run += spans[next].run;
		spans[next].state = SPAN_ABSORBED;
	}
	while (prev > s->first && spans[prev - 1].state == SPAN_ABSORBED)
		prev--;
	if (prev > s->first && spans[prev - 1].state == SPAN_FREE) {
		spans[prev - 1].run += span->run;
		span->state = SPAN_ABSORBED;
		span = &spans[prev - 1];
	}
	schedule(c, s, span);
}

static void free_page(struct collect *c, struct mi_segment *s, uint32_t i)
{
	coalesce(c, s, i);
	if (s->used && --s->used == 0)
		free_segment(c, s);
}

/* The main thread takes over what threads that have ended have left behind (mi_segment_reclaim). */
static void reclaim(struct collect *c, struct mi_segment *s)
{
	for (uint32_t i = s->first; i < s->first + s->cnt; i++) {
		struct mi_span *span = &c->w->spans[i];

		if (span->state == SPAN_EMPTY)
			free_page(c, s, i);
		else if (span->state == SPAN_FREE)
			coalesce(c, s, i);
	}
	/* Its pages are visited like the others. */
	if (s->used && c->w->heap->row->ways.collects_segments)
		purge(c, s);
}

static uint64_t segment_key(const void *v, size_t i)
{
	return ((const struct mi_segment *)v)[i].addr;
}

static uint64_t span_key(const void *v, size_t i)
{
	return ((const struct mi_span *)v)[i].slice;
}

static struct mi_segment *find_segment(struct mi_walk *w, uint64_t addr)
{
	size_t i = search_upto(w->segments, w->segment_cnt, segment_key, addr);

	return i && addr - w->segments[i - 1].addr < w->segments[i - 1].bytes ? &w->segments[i - 1] : NULL;
}

/* The number of the span that a slice lies in; UINT32_MAX: of none. */
static uint32_t find_span(struct mi_walk *w, const struct mi_segment *s, uint64_t slice)
{
	size_t i = search_upto(w->spans + s->first, s->cnt, span_key, slice);

	return i ? s->first + (uint32_t)i - 1 : UINT32_MAX;
}

/* The segment and the span of the page whose mi_page_t is at meta; false: there is none such. */
static bool find_page(struct mi_walk *w, uint64_t meta, struct mi_segment **s, uint32_t *span)
{
	const struct mi_row *row = w->heap->row;
	uint64_t slice;

	*s = find_segment(w, meta);
	if (!*s || meta - (*s)->addr < row->segment->first)
		return false;
	slice = (meta - (*s)->addr - row->segment->first) / row->page->size;
	*span = find_span(w, *s, slice);
	return *span != UINT32_MAX && w->spans[*span].slice == slice;
}

/*
 * _mi_heap_delayed_free_all: a page of which other threads have freed the last block is freed, or
 * retired, when its first one comes off the list.
 */
static void free_delayed(struct collect *c, const struct mi_heap *heap)
{
	for (size_t i = heap->first; i < heap->first + heap->cnt; i++) {
		struct mi_segment *s = find_segment(c->w, c->w->delayed[i]);
		uint32_t span = s ? find_span(c->w, s, (c->w->delayed[i] - s->addr) / MI_SLICE) : UINT32_MAX;

		if (span == UINT32_MAX || c->w->spans[span].state != SPAN_EMPTY)
			continue;
		if (c->w->spans[span].alone)
			c->w->spans[span].retired = true;
		else
			free_page(c, s, span);
	}
}

static uint64_t first_in_queue(struct mi_walk *w, const struct mi_heap *heap, unsigned queue)
{
	const struct mi_heap_layout *l = w->heap->row->heap;
	uint64_t first;

	return window_peek(w->mem, heap->addr + l->queues + queue * l->queue_size, &first, sizeof(first)) == 0
		       ? first
		       : 0;
}

/* _mi_heap_collect_retired: empty pages that are kept at the head of their queue. */
static void free_retired(struct collect *c, const struct mi_heap *heap)
{
	for (unsigned q = 0; q < MI_QUEUES; q++) {
		uint64_t first = first_in_queue(c->w, heap, q);
		struct mi_segment *s;
		uint32_t i;

		if (first && find_page(c->w, first, &s, &i) && c->w->spans[i].retired &&
		    c->w->spans[i].state == SPAN_EMPTY)
			free_page(c, s, i);
	}
}

/* mi_heap_visit_pages with mi_heap_page_collect. */
static void visit_pages(struct collect *c, const struct mi_heap *heap)
{
	size_t left = c->w->span_cnt; /* as often as there are pages, whatever the lists say */

	for (unsigned q = 0; q < MI_QUEUES; q++) {
		uint64_t page = first_in_queue(c->w, heap, q);
		struct mi_segment *s;
		uint32_t i;

		for (; page && left && find_page(c->w, page, &s, &i); left--) {
			page = c->w->spans[i].next;
			if (c->w->heap->row->ways.collects_segments)
				purge(c, s);
			if (c->w->spans[i].state == SPAN_EMPTY)
				free_page(c, s, i);
		}
	}
}

static void collect_heap(struct mi_walk *w, const struct mi_heap *heap, enum mi_who who)
{
	struct collect c = {w, who};

	for (size_t i = 0; who == BY_MAIN && i < w->segment_cnt; i++) {
		struct mi_segment *s = &w->segments[i];

		if (!s->thread && s->used && (s->from_arena || !w->heap->row->ways.loses_mapped))
			reclaim(&c, s);
	}
	free_delayed(&c, heap);
	free_retired(&c, heap);
	visit_pages(&c, heap);
}

void mi_collect(struct mi_walk *w)
{
	struct collect main = {w, BY_MAIN};

	for (size_t i = 0; i < w->segment_cnt; i++) {
		struct mi_segment *s = &w->segments[i];

		s->expiry = !s->expire ? EXPIRE_NONE : s->expire < w->now_ms ? EXPIRE_PAST : EXPIRE_LATER;
		for (uint32_t k = s->first; k < s->first + s->cnt; k++)
			w->spans[k].run = w->spans[k].cnt;
		/* Kept for reuse (2.0.9): a collect returns all of these. */
		if (s->empty)
			free_segment(&main, s);
	}
	collect_heap(w, &w->heaps[0], BY_MAIN);
	for (size_t i = 1; i < w->heap_cnt; i++)
		if (w->heaps[i].collects)
			collect_heap(w, &w->heaps[i], BY_OTHER);
}
