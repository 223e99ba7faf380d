/*
 * mimalloc 2.x: memory in segments of 32 MiB at such addresses, or of one large block each.
 * A segment begins with a table of its slices of 64 KiB; a run of them, a span, is a page or
 * free. Segments are known by their cookie, which is that of the first heap, xor the address.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "heap/mimalloc_heap.h"

#define ATTEMPTS 6                 /* at a segment that changes so much that it does not add up */
#define HEAD 512                   /* bytes before slices[] */
#define ADDRESSES_MAX (1ULL << 23) /* looked at for segments: 256 TB */

static bool is_head(const struct heap *heap, const char *bytes, uint64_t addr,
		    const struct mi_segment_layout *l)
{
	uint64_t slices = mi_word(bytes + l->slices), info = mi_word(bytes + l->slices + 8);
	uint64_t entries = mi_word(bytes + l->entries);

	return (mi_word(bytes + l->cookie) ^ addr) == heap->cookie && slices &&
	       slices < MI_SIZE_MAX / MI_SLICE && info && info <= 16 && info < entries &&
	       entries <= MI_SLICES && entries <= slices && mi_half(bytes + l->kind) <= 1 &&
	       (mi_half(bytes + l->kind) || slices == MI_SLICES) &&
	       (!l->bytes || mi_word(bytes + l->bytes) == slices * MI_SLICE) &&
	       mi_half(bytes + l->first) == info;
}

static bool read_head(const struct heap *heap, struct memory *mem, uint64_t addr, char head[HEAD])
{
	return window_peek(mem, addr, head, HEAD) == 0 && is_head(heap, head, addr, heap->row->segment);
}

/* The head of a segment that its arena has back, and has not purged yet. */
static bool is_stale(const struct heap *heap, const char *head)
{
	const struct mi_segment_layout *l = heap->row->segment;

	return !mi_word(head + l->used) && !heap->row->ways.keeps_segments;
}

static uint64_t head_bytes(const struct heap *heap, const char *head)
{
	return mi_word(head + heap->row->segment->slices) * MI_SLICE;
}

/* The next address at which a segment may begin: from *at on in mapping *m on. False: there is none. */
static bool next_place(const struct maps *maps, size_t *m, uint64_t *at)
{
	for (; *m < maps->cnt; (*m)++) {
		const struct mapping *map = &maps->v[*m];
		uint64_t place = align_up(*at > map->start ? *at : map->start, MI_SEGMENT);

		if (!mapping_is_anon_rw(map) || place < map->start || place >= map->end)
			continue;
		*at = place;
		return true;
	}
	return false;
}

bool mi_has_segments(struct memory *mem, const struct maps *maps, const struct heap *heap)
{
	uint64_t at = 0;
	char head[HEAD];

	for (size_t m = 0, i = 0; i < ADDRESSES_MAX && next_place(maps, &m, &at); i++, at += MI_SEGMENT)
		if (read_head(heap, mem, at, head))
			return true;
	return false;
}

/* ---- heaps ---- */

/* Reads the heap at addr, which a page says that it belongs to; false: it is none. */
static bool read_heap(struct mi_walk *w, uint64_t addr, struct mi_heap *heap)
{
	const struct mi_heap_layout *l = w->heap->row->heap;
	uint64_t tld, backing;

	*heap = (struct mi_heap){.addr = addr};
	if (window_peek(w->mem, addr + l->tld, &tld, sizeof(tld)) != 0 ||
	    window_peek(w->mem, addr + l->thread, &heap->thread, sizeof(heap->thread)) != 0 ||
	    window_peek(w->mem, addr + l->delayed, &heap->delayed, sizeof(heap->delayed)) != 0 ||
	    window_peek(w->mem, tld + l->tld_backing, &backing, sizeof(backing)) != 0)
		return false;
	heap->collects = backing == addr;
	return true;
}

/* The number of the heap, which is new or not; UINT32_MAX: of no heap. */
static uint32_t heap_number(struct mi_walk *w, uint64_t addr)
{
	for (size_t i = 0; i < w->heap_cnt; i++)
		if (w->heaps[i].addr == addr)
			return (uint32_t)i;
	if (!addr || w->heap_cnt >= MI_THREADS_MAX ||
	    !mi_grow(w, &w->heaps, &w->heap_cap, w->heap_cnt, sizeof(*w->heaps)) ||
	    !read_heap(w, addr, &w->heaps[w->heap_cnt]))
		return UINT32_MAX;
	return (uint32_t)w->heap_cnt++;
}

/* What other threads have freed on the full pages of a heap. Exact while it is not too long to follow. */
static void read_delayed(struct mi_walk *w, struct mi_heap *heap)
{
	uint64_t block = heap->delayed;

	heap->first = w->delayed_cnt;
	while (block && block % 8 == 0) {
		if (w->delayed_cnt == MI_DELAYED_MAX ||
		    !mi_grow(w, &w->delayed, &w->delayed_cap, w->delayed_cnt, sizeof(*w->delayed))) {
			w->walk->estimate = true;
			return;
		}
		w->delayed[w->delayed_cnt++] = block;
		heap->cnt++;
		if (window_peek(w->mem, block, &block, sizeof(block)) != 0)
			return;
	}
}

static int by_address(const void *x, const void *y)
{
	uint64_t a = *(const uint64_t *)x, b = *(const uint64_t *)y;

	return (a > b) - (a < b);
}

/* ---- one segment ---- */

static void decode_head(const struct mi_segment_layout *l, const char *head, uint64_t addr,
			struct mi_segment *s)
{
	uint8_t arena = (uint8_t)head[l->arena];

	*s = (struct mi_segment){
		.addr = addr,
		.bytes = mi_word(head + l->slices) * MI_SLICE,
		.thread = mi_word(head + l->thread),
		.info = (uint32_t)mi_word(head + l->slices + 8),
		.entries = (uint32_t)mi_word(head + l->entries),
		.used = (uint32_t)mi_word(head + l->used),
		.empty = !mi_word(head + l->used),
		.huge = mi_half(head + l->kind) == 1,
		.allow = head[l->allow] != 0,
		.from_arena = l->arena_kind ? arena == l->arena_kind : mi_word(head + l->arena) != 0,
		.pinned = head[l->pinned] != 0,
		.expire = mi_word(head + l->expire),
	};
	for (unsigned i = 0; i < MI_WORDS; i++) {
		s->purge[i] = mi_word(head + l->purge + 8 * i);
		s->commit[i] = mi_word(head + l->commit + 8 * i);
	}
}

/* Where the blocks of a page begin, where the page does not say it (_mi_segment_page_start_from_slice). */
static uint64_t page_area(const struct mi_walk *w, const struct mi_page *p)
{
	uint64_t size = p->block_size;

	if (p->area)
		return p->area;
	if (w->heap->row->ways.keeps_segments)
		return p->start + (size >= 8 && size <= 1024 ? 3 * 128 : 0);
	return p->start + (size < 8 ? 0 : size <= 64 ? 3 * size : size <= 512 ? size : 0);
}

static void decode_slice(struct mi_walk *w, const struct mi_segment *s, uint32_t slice, struct mi_page *p)
{
	const struct mi_page_layout *l = w->heap->row->page;
	uint32_t at = w->heap->row->segment->first + slice * l->size;
	uint64_t cnt = mi_half(w->bytes + at);

	mi_decode_page(l, w->bytes + at, p);
	p->meta = s->addr + at;
	p->start = s->addr + slice * MI_SLICE;
	p->end = s->huge ? s->addr + s->bytes : p->start + cnt * MI_SLICE;
	p->huge = s->huge;
	p->inside = p->aligned ? p->block_size : 0;
	/* A large block's size does not fit into 32 bits: MI_HUGE_BLOCK_SIZE. */
	if (l->block_size_width == 4 && p->block_size == 1ULL << 31)
		p->block_size = p->end - p->start;
	p->area = page_area(w, p);
}

/* Reads the table of slices; false: the segment is gone. */
static bool read_table(struct mi_walk *w, uint64_t addr, struct mi_segment *s)
{
	const struct mi_row *row = w->heap->row;
	size_t len = align_up(row->segment->first + (MI_SLICES + 1) * row->page->size, TARGET_PAGE_SIZE);

	if (!data_copy(w->mem, addr, w->bytes, len) || !is_head(w->heap, w->bytes, addr, row->segment))
		return false;
	decode_head(row->segment, w->bytes, addr, s);
	return true;
}

/* The spans of the table just read, appended. NULL, or why they do not add up. */
static const char *list_spans(struct mi_walk *w, struct mi_segment *s)
{
	uint32_t slice = s->info;

	s->first = (uint32_t)w->span_cnt;
	s->cnt = 0;
	if (s->empty) /* kept for reuse: nothing in it means anything any more */
		return NULL;
	while (slice < s->entries) {
		struct mi_page p;
		uint64_t cnt;

		decode_slice(w, s, slice, &p);
		cnt = (p.end - p.start) / MI_SLICE;
		if (!cnt || p.end > s->addr + s->bytes)
			return "a span of slices that leads out of its segment";
		if (!mi_grow(w, &w->spans, &w->span_cap, w->span_cnt, sizeof(*w->spans)))
			return "no memory to list its spans";
		if (p.block_size)
			heap_number(w, p.heap);
		w->spans[w->span_cnt++] = (struct mi_span){
			.next = p.next,
			.slice = slice,
			.cnt = (uint32_t)cnt,
			.retired = p.retired,
			.alone = p.alone && p.block_size <= MI_RETIRE_MAX,
			.state = p.block_size ? SPAN_IN_USE : SPAN_FREE,
		};
		slice += (uint32_t)cnt;
	}
	s->cnt = (uint32_t)w->span_cnt - s->first;
	return NULL;
}

/* Reads the page again, for it may have changed. */
static void read_again(struct mi_walk *w, const struct mi_segment *s, uint32_t slice, struct mi_page *p)
{
	const struct mi_page_layout *l = w->heap->row->page;
	uint32_t at = w->heap->row->segment->first + slice * l->size;

	w->retries++;
	window_drop(&w->win);
	if (window_peek(w->mem, p->meta, w->bytes + at, l->size) == 0)
		decode_slice(w, s, slice, p);
}

/*
 * Counts one page that is in use, unless it turns out to be empty. False: it makes no sense, and
 * stays as it is. One that is freed, split or made anew meanwhile counts as free.
 */
static bool count_page(struct mi_walk *w, const struct mi_segment *s, struct mi_span *span,
		       struct heap_arena *a)
{
	enum mi_verdict verdict;
	struct mi_page p, again;
	bool changes = false;

	decode_slice(w, s, span->slice, &p);
	for (unsigned i = 1;; i++) {
		verdict = mi_count_page(w, &p, i >= ATTEMPTS, a);
		if (verdict != MI_PAGE_CHANGED)
			break;
		again = p;
		read_again(w, s, span->slice, &again);
		changes |= !mi_same_page(&again, &p);
		if (again.end == p.end)
			p = again;
	}
	if (verdict == MI_PAGE_EMPTY)
		span->state = SPAN_EMPTY;
	if (verdict == MI_PAGE_BROKEN && changes) {
		span->state = SPAN_FREE;
		w->walk->estimate = true;
	}
	return verdict != MI_PAGE_BROKEN || changes;
}

static bool count_pages(struct mi_walk *w, const struct mi_segment *s, struct heap_arena *a)
{
	for (uint32_t i = s->first; i < s->first + s->cnt; i++) {
		struct mi_span *span = &w->spans[i];

		if (span->state == SPAN_IN_USE && !count_page(w, s, span, a)) {
			mi_broken(a, s->addr + span->slice * MI_SLICE,
				  "a page whose counts contradict each other");
			return false;
		}
	}
	return true;
}

/* The segment with its spans; the pages in use are counted, the rest is left to count_rest. */
static void walk_segment(struct mi_walk *w, uint64_t addr)
{
	struct mi_segment s;
	struct heap_arena *a;
	const char *broken = "";
	size_t spans = w->span_cnt;

	for (unsigned i = 0; broken && i < ATTEMPTS; i++) {
		w->span_cnt = spans;
		if (!read_table(w, addr, &s))
			return;
		broken = list_spans(w, &s);
		w->retries += broken != NULL;
	}
	if (!mi_grow(w, &w->segments, &w->segment_cap, w->segment_cnt, sizeof(*w->segments)) ||
	    !mi_grow(w, &w->covered, &w->covered_cap, w->covered_cnt, sizeof(*w->covered)))
		return;
	w->covered[w->covered_cnt++] = (struct data_range){addr, addr + s.bytes};
	a = s.empty ? mi_nobody(w) : mi_owner(w, s.thread);
	if (!a)
		return;
	a->f.held += s.bytes;
	a->heap_cnt++;
	if (broken) {
		w->span_cnt = spans;
		mi_broken(a, addr, broken);
		return;
	}
	if (w->pages && !s.huge) {
		heap_pages_begin_extent(w->pages, addr);
		heap_pages_cut(w->pages, addr + s.bytes);
	}
	if (count_pages(w, &s, a))
		w->segments[w->segment_cnt++] = s;
	else
		w->span_cnt = spans;
}

/* ---- all of them ---- */

/* What is in no block, as the collect has found it. */
static void count_rest(struct mi_walk *w, const struct mi_segment *s)
{
	struct heap_arena *a = s->empty ? mi_nobody(w) : mi_owner(w, s->thread);
	uint32_t covered = s->info;

	if (!a)
		return;
	mi_count_header(w, a, s->addr, s->addr + s->info * MI_SLICE, s->returned);
	for (uint32_t i = s->first; i < s->first + s->cnt; i++) {
		const struct mi_span *span = &w->spans[i];
		uint64_t start = s->addr + span->slice * MI_SLICE;

		covered = span->slice + span->cnt;
		if (span->was == SPAN_IN_USE)
			continue;
		if (span->was == SPAN_EMPTY)
			mi_note_empty(w, a, span->cnt * MI_SLICE);
		else
			mi_note_free(w, a, span->cnt * MI_SLICE);
		for (uint32_t k = 0; k < span->cnt; k++)
			mi_count_free(w, a, start + k * MI_SLICE, start + (k + 1) * MI_SLICE,
				      mi_returned(s, span->slice + k));
	}
	if (s->empty) {
		mi_note_free(w, a, s->bytes - s->info * MI_SLICE);
		mi_count_free(w, a, s->addr + covered * MI_SLICE, s->addr + s->bytes, s->returned);
		return;
	}
	/* The last slice of a secure build is a guard. */
	if (s->addr + covered * MI_SLICE < s->addr + s->bytes)
		mi_count_header(w, a, s->addr + covered * MI_SLICE, s->addr + s->bytes, s->returned);
}

/* The heaps that pages belong to, and what other threads have put on their lists. */
static int find_heaps(struct mi_walk *w, const uint64_t *addrs, size_t cnt)
{
	if (heap_number(w, w->heap->main_heap) != 0)
		return -EAGAIN;
	for (size_t i = 0; i < cnt && !w->no_memory; i++) {
		struct mi_segment s;

		w->span_cnt = 0;
		if (read_table(w, addrs[i], &s))
			list_spans(w, &s);
	}
	w->span_cnt = 0;
	for (size_t i = 0; i < w->heap_cnt; i++)
		read_delayed(w, &w->heaps[i]);
	w->sorted = malloc((w->delayed_cnt + 1) * sizeof(*w->sorted));
	if (!w->sorted)
		return -ENOMEM;
	if (w->delayed_cnt) {
		memcpy(w->sorted, w->delayed, w->delayed_cnt * sizeof(*w->sorted));
		qsort(w->sorted, w->delayed_cnt, sizeof(*w->sorted), by_address);
	}
	return 0;
}

/* Addresses of all segments, ascending. The caller frees *addrs. */
static size_t find_segments(struct mi_walk *w, uint64_t **addrs)
{
	size_t cap = 0, cnt = 0;
	uint64_t at = 0;
	char head[HEAD];

	for (size_t m = 0, i = 0; i < ADDRESSES_MAX && next_place(w->maps, &m, &at); i++) {
		if (!read_head(w->heap, w->mem, at, head) || is_stale(w->heap, head)) {
			at += MI_SEGMENT;
			continue;
		}
		if (!mi_grow(w, addrs, &cap, cnt, sizeof(**addrs)))
			break;
		(*addrs)[cnt++] = at;
		at += align_up(head_bytes(w->heap, head), MI_SEGMENT);
	}
	return cnt;
}

int mi_walk_segments(struct mi_walk *w)
{
	uint64_t *addrs = NULL;
	size_t cnt = find_segments(w, &addrs);
	int rc = find_heaps(w, addrs, cnt);

	for (size_t i = 0; i < cnt && !rc && !w->no_memory; i++)
		walk_segment(w, addrs[i]);
	free(addrs);
	if (!rc && !w->no_memory)
		rc = mi_read_areas(w);
	if (rc || w->no_memory)
		return rc ? rc : -ENOMEM;
	for (size_t i = 0; i < w->span_cnt; i++)
		w->spans[i].was = w->spans[i].state;
	mi_collect(w);
	for (size_t i = 0; i < w->segment_cnt; i++)
		count_rest(w, &w->segments[i]);
	mi_count_areas(w);
	mi_count_thread_data(w);
	return 0;
}
