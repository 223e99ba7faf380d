/*
 * mimalloc 2.x, what is no segment: arenas, that segments are cut from, and each thread's own
 * structs. Found in the data of the object: an arena by its number in the list, its alignment
 * and its bitmaps; what a thread has left behind by its queues.
 */
#include <errno.h>
#include <stdlib.h>

#include "heap/mimalloc_heap.h"

#define ARENAS_MAX 132        /* MI_MAX_ARENAS of 2.2; 64 and 112 before */
#define BLOCKS_MAX (1U << 20) /* of an arena: 32 TB */
#define HEAD 192

/* What an arena's struct says; false if it is none of that number (from 1). */
static bool read_arena(const struct heap *heap, struct memory *mem, const struct maps *maps, uint64_t addr,
		       uint32_t id, struct mi_area *area)
{
	const struct mi_arena_layout *l = heap->row->arena;
	const struct mapping *m;
	char head[HEAD];
	uint64_t blocks, fields;

	if (addr % 8 || window_peek(mem, addr, head, l->inuse) != 0 || mi_half(head) != id)
		return false;
	blocks = mi_word(head + l->blocks);
	fields = mi_word(head + l->blocks + 8);
	*area = (struct mi_area){
		.addr = addr,
		.start = mi_word(head + l->start),
		.bytes = blocks * MI_SEGMENT,
		.pinned = head[l->pinned] != 0,
		.purge_at = l->purge ? mi_word(head + l->purge) : 0,
	};
	m = maps_find(maps, area->start);
	return area->start && area->start % MI_SEGMENT == 0 && blocks && blocks <= BLOCKS_MAX &&
	       fields == (blocks + 63) / 64 && m && !m->inode; /* parts may be protected yet */
}

struct arena_scan {
	struct memory *mem;
	const struct maps *maps;
	const struct heap *heap;
	uint64_t found;
};

static bool scan_for_arenas(const char *bytes, size_t len, uint64_t addr, void *arg)
{
	struct arena_scan *s = arg;

	for (size_t off = 0; off + 8 <= len; off += 8) {
		uint64_t at = mi_word(bytes + off);
		struct mi_area area;

		if (at < TARGET_PAGE_SIZE || at >= ADDRESS_END ||
		    !read_arena(s->heap, s->mem, s->maps, at, 1, &area))
			continue;
		s->found = addr + off;
		return true;
	}
	return false;
}

static int read_bits(struct mi_walk *w, uint64_t addr, size_t words, uint64_t **bits)
{
	*bits = malloc(words * sizeof(**bits));
	if (!*bits)
		return -ENOMEM;
	if (!data_copy(w->mem, addr, *bits, words * sizeof(**bits)))
		return -EAGAIN;
	return 0;
}

static bool is_set(const uint64_t *bits, uint64_t i)
{
	return bits && bits[i / 64] >> i % 64 & 1;
}

/* The arenas' list: found again where there was none yet. */
static uint64_t find_list(struct mi_walk *w)
{
	struct arena_scan s = {w->mem, w->maps, w->heap, 0};

	data_scan(w->mem, w->heap->data, scan_for_arenas, &s);
	return s.found;
}

int mi_read_areas(struct mi_walk *w)
{
	uint64_t list = find_list(w);

	w->areas = list ? calloc(ARENAS_MAX, sizeof(*w->areas)) : NULL;
	for (uint32_t i = 0; w->areas && i < ARENAS_MAX; i++) {
		struct mi_area *area = &w->areas[i];
		size_t words;
		uint64_t addr;
		int rc;

		if (window_peek(w->mem, list + 8 * i, &addr, sizeof(addr)) != 0 || !addr ||
		    !read_arena(w->heap, w->mem, w->maps, addr, i + 1, area))
			break;
		w->area_cnt++;
		words = (area->bytes / MI_SEGMENT + 63) / 64;
		rc = read_bits(w, addr + w->heap->row->arena->inuse, words, &area->inuse);
		if (!rc && area->purge_at)
			rc = read_bits(w, area->purge_at, words, &area->purge);
		if (rc)
			return rc;
	}
	return 0;
}

/* The end of the segment that covers addr, or 0. */
static uint64_t covered(const struct mi_walk *w, uint64_t addr, size_t *next)
{
	while (*next < w->covered_cnt && w->covered[*next].end <= addr)
		++*next;
	return *next < w->covered_cnt && w->covered[*next].start <= addr ? w->covered[*next].end : 0;
}

static void count_block(struct mi_walk *w, const struct mi_area *area, uint64_t start, uint64_t end)
{
	uint64_t block = (start - area->start) / MI_SEGMENT;
	struct heap_arena *a = mi_nobody(w);
	bool purges = !area->pinned && is_set(area->purge, block) && mi_arena_purges(w, BY_MAIN);

	if (!a)
		return;
	a->f.held += end - start;
	if (is_set(area->inuse, block)) { /* what a large segment does not fill of its last block */
		mi_count_header(w, a, start, end, BY_NOBODY);
		return;
	}
	mi_note_free(w, a, end - start);
	mi_count_free(w, a, start, end, purges ? BY_MAIN : BY_NOBODY);
}

void mi_count_areas(struct mi_walk *w)
{
	for (size_t i = 0; i < w->area_cnt; i++) {
		const struct mi_area *area = &w->areas[i];
		uint64_t at = area->start, end = at + area->bytes;
		size_t next = 0;

		while (at < end) {
			uint64_t stop = covered(w, at, &next);

			if (!stop) {
				stop = align_down(at, MI_SEGMENT) + MI_SEGMENT;
				if (stop > end)
					stop = end;
				count_block(w, area, at, stop);
			}
			at = stop;
		}
	}
}

static bool is_known_heap(const struct mi_walk *w, uint64_t addr)
{
	for (size_t i = 0; i < w->heap_cnt; i++)
		if (w->heaps[i].addr == addr)
			return true;
	return false;
}

/* What a thread that has ended has left for the next one: td_cache in src/init.c. */
static bool scan_for_left(const char *bytes, size_t len, uint64_t addr, void *arg)
{
	struct mi_walk *w = arg;
	const struct mi_heap_layout *l = w->heap->row->heap;
	char queues[MI_QUEUES_CHECKED * 32];

	(void)addr;
	for (size_t off = 0; off + 8 <= len && off < DATA_STEP; off += 8) {
		uint64_t at = mi_word(bytes + off);
		const struct mapping *m = at % TARGET_PAGE_SIZE ? NULL : maps_find(w->maps, at);
		struct heap_arena *a;

		if (!m || !mapping_is_anon_rw(m) || is_known_heap(w, at) ||
		    window_peek(w->mem, at + l->queues, queues, MI_QUEUES_CHECKED * l->queue_size) != 0 ||
		    !mi_are_queues(queues, l))
			continue;
		a = mi_nobody(w);
		if (!a)
			return true;
		a->f.held += w->heap->row->thread_data;
		mi_count_header(w, a, at, at + w->heap->row->thread_data,
				w->heap->row->ways.frees_thread_data ? BY_MAIN : BY_NOBODY);
	}
	return false;
}

void mi_count_thread_data(struct mi_walk *w)
{
	for (size_t i = 0; i < w->heap_cnt; i++) {
		const struct mi_heap *heap = &w->heaps[i];
		struct heap_arena *a;

		/* The main thread's are the object's data; heaps that a program makes are blocks. */
		if (i == 0 || !heap->collects || heap->addr % TARGET_PAGE_SIZE)
			continue;
		a = mi_owner(w, heap->thread);
		if (!a)
			return;
		a->f.held += w->heap->row->thread_data;
		mi_count_header(w, a, heap->addr, heap->addr + w->heap->row->thread_data, BY_NOBODY);
	}
	data_scan(w->mem, w->heap->data, scan_for_left, w);
}

void mi_free_areas(struct mi_walk *w)
{
	for (size_t i = 0; i < w->area_cnt; i++) {
		free(w->areas[i].inuse);
		free(w->areas[i].purge);
	}
	free(w->areas);
}
