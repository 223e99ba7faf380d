/*
 * mimalloc 3.x: pages that are too large for an arena, or aligned by more than a slice, have a
 * mapping of their own. The page map (src/page-map.c) knows them: a word for each slice of the
 * address space, in parts of 8,192 that a list of 262,144 leads to. The list is found by a page
 * that is known from a queue.
 */
#include <errno.h>
#include <string.h>

#include "heap/mimalloc_heap.h"

#define LIST_ENTRIES (1ULL << 18)                        /* of 47 bits */
#define PART_ENTRIES (1ULL << 13)                        /* MI_PAGE_MAP_SUB_COUNT */
#define LIST_BYTES (LIST_ENTRIES * 8 + TARGET_PAGE_SIZE) /* the first part's first words lie behind it */
#define PART_BYTES (PART_ENTRIES * 8)
#define PARTS_MAX 65536 /* 32 TB */
#define MAPPED_MAX 1048576
#define PIECES_MAX 64 /* mappings of a page */
#define WORDS (TARGET_PAGE_SIZE / 8)

struct map_scan {
	struct memory *mem;
	uint64_t meta, slice; /* a page that is known, and the number of its slice */
	uint64_t head;        /* of the map, before its list */
	uint64_t found;
};

static bool leads_to(struct memory *mem, uint64_t list, const struct map_scan *s)
{
	uint64_t part, meta;

	return window_peek(mem, list + s->slice / PART_ENTRIES * 8, &part, sizeof(part)) == 0 && part &&
	       part % 8 == 0 &&
	       window_peek(mem, part + s->slice % PART_ENTRIES * 8, &meta, sizeof(meta)) == 0 &&
	       meta == s->meta;
}

static bool scan_for_map(const char *bytes, size_t len, uint64_t addr, void *arg)
{
	struct map_scan *s = arg;

	(void)addr;
	for (size_t off = 0; off + 8 <= len; off += 8) {
		uint64_t at = mi_word(bytes + off);

		if (!at || at % 64 || at >= ADDRESS_END || !leads_to(s->mem, at + s->head, s))
			continue;
		s->found = at + s->head;
		return true;
	}
	return false;
}

/* A page of an arena, or in one of the main thread's queues. */
static bool find_known(struct mi_walk *w, struct map_scan *s)
{
	const struct mi_heap_layout *l = w->heap->row->heap;
	char bytes[MI_PAGE_STRUCT_MAX];
	struct mi_page p;

	s->meta = w->known_meta;
	s->slice = w->known_slice;
	if (s->meta)
		return true;
	for (unsigned q = 0; q < MI_QUEUES; q++) {
		if (window_peek(w->mem, w->heap->main_heap + l->queues + q * l->queue_size, &s->meta,
				sizeof(s->meta)) != 0 ||
		    !s->meta || window_peek(w->mem, s->meta, bytes, w->heap->row->page->size) != 0)
			continue;
		mi_decode_slice_page(w, bytes, s->meta, &p);
		s->slice = p.area / MI_SLICE;
		if (s->slice < LIST_ENTRIES * PART_ENTRIES)
			return true;
	}
	return false;
}

static bool in_arena(const struct mi_walk *w, uint64_t addr)
{
	for (size_t i = 0; i < w->covered_cnt; i++)
		if (addr >= w->covered[i].start && addr < w->covered[i].end)
			return true;
	return false;
}

struct map_walk {
	size_t left;   /* how many pages are still looked at */
	uint64_t last; /* the latest: it may go on in the next part */
	uint64_t end;  /* of the memory of those that were counted */
};

/* Whether it is memory without a file; the margins of a page are protected. */
static bool is_anonymous(const struct maps *maps, uint64_t start, uint64_t end)
{
	for (unsigned i = 0; i < PIECES_MAX && start < end; i++) {
		const struct mapping *m = maps_find(maps, start);

		if (!m || m->inode || m->shared)
			return false;
		start = m->end;
	}
	return start >= end;
}

/* The page with memory of its own whose struct is at meta. */
static int count_mapped(struct mi_walk *w, uint64_t meta, struct map_walk *map)
{
	const struct mi_row *row = w->heap->row;
	char bytes[MI_PAGE_STRUCT_MAX];
	struct heap_arena *a;
	struct mi_page p;
	uint64_t base, size;

	if (window_peek(w->mem, meta, bytes, row->page->size) != 0)
		return 0;
	base = mi_word(bytes + row->page->memid);
	size = mi_word(bytes + row->page->memid + 8);
	if (mi_half(bytes + row->page->memid + 16) < row->slices->os_kind || base % TARGET_PAGE_SIZE ||
	    size % TARGET_PAGE_SIZE || base < map->end || size > ADDRESS_END - base || meta < base ||
	    meta - base >= size || !is_anonymous(w->maps, base, base + size))
		return 0;
	map->end = base + size;
	mi_decode_slice_page(w, bytes, meta, &p);
	p.start = base;
	p.end = base + size;
	p.huge = true;
	a = mi_owner(w, p.thread);
	if (!a)
		return -ENOMEM;
	a->f.held += size;
	a->heap_cnt++;
	switch (mi_count_slice_page(w, &p, a)) {
	case MI_PAGE_EMPTY:
		mi_note_empty(w, a, size);
		mi_count_free(w, a, base, base + size, mi_who_frees(w, &p));
		break;
	case MI_PAGE_BROKEN:
		mi_broken(a, meta, "a page whose counts contradict each other");
		break;
	default:
		break;
	}
	return 0;
}

/*
 * The words from one on, but no further than the end of the target's page: what lies behind may be
 * absent. How many that are, whether they could be read or not; those that could not are 0.
 */
static uint64_t read_words(struct mi_walk *w, uint64_t table, uint64_t from, uint64_t cnt,
			   uint64_t words[WORDS])
{
	uint64_t at = table + 8 * from, left = (TARGET_PAGE_SIZE - at % TARGET_PAGE_SIZE) / 8;

	if (left > cnt - from)
		left = cnt - from;
	if (window_peek(w->mem, at, words, left * 8) != 0)
		memset(words, 0, left * 8);
	return left;
}

/* The pages of one part of the map, but those of arenas. */
static int walk_part(struct mi_walk *w, uint64_t part, uint64_t first_slice, struct map_walk *m)
{
	uint64_t words[WORDS], cnt;

	for (uint64_t i = 0; i < PART_ENTRIES; i += cnt) {
		cnt = read_words(w, part, i, PART_ENTRIES, words);
		for (uint64_t k = 0; k < cnt; k++) {
			int rc;

			if (!words[k] || words[k] == m->last || in_arena(w, (first_slice + i + k) * MI_SLICE))
				continue;
			m->last = words[k];
			if (!m->left)
				return 0;
			m->left--;
			rc = count_mapped(w, m->last, m);
			if (rc)
				return rc;
		}
	}
	return 0;
}

static void count_own(struct mi_walk *w, uint64_t start, uint64_t bytes)
{
	const struct mapping *m = maps_find(w->maps, start);
	struct heap_arena *a = mi_nobody(w);

	if (!a || !m || !mapping_is_anon_rw(m) || bytes > m->end - start || in_arena(w, start))
		return;
	a->f.held += bytes;
	mi_count_header(w, a, start, start + bytes, BY_NOBODY);
}

int mi_walk_mapped(struct mi_walk *w)
{
	struct map_scan s = {.mem = w->mem, .head = w->heap->row->slices->map_head};
	uint64_t words[WORDS], cnt;
	struct map_walk walk = {.left = MAPPED_MAX};
	size_t parts = 0;

	if (!find_known(w, &s))
		return 0;
	data_scan(w->mem, w->heap->data, scan_for_map, &s);
	if (!s.found)
		return 0;
	count_own(w, s.found, LIST_BYTES);
	for (uint64_t i = 0; i < LIST_ENTRIES; i += cnt) {
		cnt = read_words(w, s.found, i, LIST_ENTRIES, words);
		for (uint64_t k = 0; k < cnt; k++) {
			int rc;

			if (!words[k] || words[k] % 8 || parts++ >= PARTS_MAX ||
			    words[k] == s.found + LIST_ENTRIES * 8)
				continue;
			count_own(w, words[k], PART_BYTES);
			rc = walk_part(w, words[k], (i + k) * PART_ENTRIES, &walk);
			if (rc)
				return rc;
		}
	}
	return 0;
}
