/*
 * mimalloc 3.x: arenas of slices of 64 KiB, with a bit each for what is free and what is to be
 * purged. A page is a run of slices; its mi_page_t lies at its beginning or, from 3.3 on, in an
 * array in the arena's head. A page too large for an arena is mapped by itself; the page map,
 * which has a word for every slice of the address space, knows those.
 *
 * mi_collect(true) frees the empty pages in the calling thread's queues, and purges what is
 * free and to be purged, of all arenas (src/arena.c, mi_arenas_try_purge).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "heap/mimalloc_heap.h"

#define ATTEMPTS 6
#define ARENAS_MAX 160        /* MI_MAX_ARENAS */
#define SLICES_MAX (1U << 18) /* MI_BITMAP_MAX_BIT_COUNT: 16 GiB */
#define CHUNK_BITS 512        /* MI_BCHUNK_BITS */
#define BITMAP_HEAD 128       /* mi_bitmap_t: chunk_count, chunkmap */
#define HEAD 256              /* of an arena's struct, as far as it is looked at */
#define THREAD_FLAGS 7ULL     /* of xthread_id: 4 is abandoned too */

/* mi_memid_t */
struct memid {
	uint64_t base; /* of an arena its address */
	uint32_t slice, cnt;
	uint64_t size; /* the same eight bytes, of memory from the kernel */
	uint32_t kind;
	bool pinned;
};

struct mi_slab {
	uint64_t addr;      /* of its struct */
	uint64_t start;     /* of its slices */
	uint32_t cnt, info; /* slices; those of its head */
	uint64_t metas;     /* 0: each page has its own at its beginning */
	bool pinned;
	uint64_t *free, *purge;
};

static struct memid decode_memid(const char *at)
{
	return (struct memid){
		.base = mi_word(at),
		.slice = mi_half(at + 8),
		.cnt = mi_half(at + 12),
		.size = mi_word(at + 8),
		.kind = mi_half(at + 16),
		.pinned = at[20] != 0,
	};
}

/* ---- arenas ---- */

/* Whether there is an arena at addr, by its head: its bitmaps follow one another in it. */
static bool read_slab(const struct heap *heap, struct memory *mem, uint64_t addr, struct mi_slab *slab,
		      uint64_t bitmaps[3])
{
	const struct mi_slices_layout *l = heap->row->slices;
	uint64_t cnt, info, start, end;
	char head[HEAD];

	if (!addr || addr % MI_SLICE || addr >= ADDRESS_END ||
	    window_peek(mem, addr, head, sizeof(head)) != 0)
		return false;
	cnt = mi_word(head + l->cnt);
	info = mi_word(head + l->cnt + 8);
	if (cnt < CHUNK_BITS || cnt > SLICES_MAX || cnt % CHUNK_BITS || !info || info >= cnt)
		return false;
	start = l->start ? mi_word(head + l->start) : addr;
	end = start + info * MI_SLICE;
	if (start > addr || start % MI_SLICE || addr >= end)
		return false;
	/* slices_free, _committed, _dirty, _purge: in the arena's head, one behind the other. */
	for (unsigned i = 0; i < 4; i++) {
		uint64_t at = mi_word(head + l->free + 8 * i);

		if (at <= addr || at >= end || (i && at <= mi_word(head + l->free + 8 * i - 8)))
			return false;
	}
	for (unsigned i = 0; i < 2; i++)
		bitmaps[i] = mi_word(head + l->free + 8 * i);
	bitmaps[2] = mi_word(head + l->free + 24);
	*slab = (struct mi_slab){
		.addr = addr,
		.start = start,
		.cnt = (uint32_t)cnt,
		.info = (uint32_t)info,
		.metas = l->metas ? mi_word(head + l->metas) : 0,
		.pinned = decode_memid(head).pinned,
	};
	return !slab->metas || (slab->metas > addr && slab->metas < end);
}

struct slab_scan {
	struct memory *mem;
	const struct heap *heap;
	uint64_t *found;
	size_t cnt;
};

static bool scan_for_slabs(const char *bytes, size_t len, uint64_t addr, void *arg)
{
	struct slab_scan *s = arg;

	(void)addr;
	for (size_t off = 0; off + 8 <= len && s->cnt < ARENAS_MAX; off += 8) {
		uint64_t at = mi_word(bytes + off), bitmaps[3];
		struct mi_slab slab;
		size_t i = 0;

		if (at % MI_SLICE || !read_slab(s->heap, s->mem, at, &slab, bitmaps))
			continue;
		while (i < s->cnt && s->found[i] != at)
			i++;
		if (i == s->cnt)
			s->found[s->cnt++] = at;
	}
	return false;
}

/* The addresses of all arenas, which mi_subproc_t lists in the object's data; found has room for ARENAS_MAX.
 */
static size_t find_slabs(const struct heap *heap, struct memory *mem, uint64_t *found)
{
	struct slab_scan s = {mem, heap, found, 0};

	data_scan(mem, heap->data, scan_for_slabs, &s);
	return s.cnt;
}

/* Whether a page is in the main heap's queue for blocks of its size. */
static bool has_page(struct memory *mem, const struct heap *heap)
{
	const struct mi_heap_layout *l = heap->row->heap;
	char bytes[MI_PAGE_STRUCT_MAX], queue[64];
	struct mi_page p;

	for (unsigned q = 1; q < MI_QUEUES - 2; q++) { /* the last two are of large pages and of full ones */
		if (window_peek(mem, heap->main_heap + l->queues + q * l->queue_size, queue, l->queue_size) !=
			    0 ||
		    !mi_word(queue) || window_peek(mem, mi_word(queue), bytes, heap->row->page->size) != 0)
			continue;
		mi_decode_page(heap->row->page, bytes, &p);
		return p.block_size == mi_word(queue + l->queue_block) && p.capacity && p.used <= p.capacity;
	}
	return false;
}

bool mi_has_slices(struct memory *mem, const struct heap *heap)
{
	uint64_t found[ARENAS_MAX];

	/* Arenas can be switched off: MIMALLOC_DISALLOW_ARENA_ALLOC. */
	return find_slabs(heap, mem, found) > 0 || (!heap->row->slices->region && has_page(mem, heap));
}

static bool is_set(const uint64_t *bits, uint32_t i)
{
	return bits[i / 64] >> i % 64 & 1;
}

static void set_bits(uint64_t *bits, uint32_t first, uint32_t cnt)
{
	for (uint32_t i = first; i < first + cnt; i++)
		bits[i / 64] |= 1ULL << i % 64;
}

/* Reads a bitmap of the arena; the head of slices_free differs, but its end is where the next one begins. */
static int read_bits(struct mi_walk *w, const struct mi_slab *slab, uint64_t at, uint64_t next,
		     uint64_t **bits)
{
	uint64_t size = slab->cnt / 8, chunks;
	uint64_t skip = BITMAP_HEAD;

	*bits = malloc(size);
	if (!*bits)
		return -ENOMEM;
	if (next) {
		if (window_peek(w->mem, at, &chunks, sizeof(chunks)) != 0 ||
		    chunks > SLICES_MAX / CHUNK_BITS || chunks * CHUNK_BITS < slab->cnt ||
		    next - at < chunks * CHUNK_BITS / 8)
			return -EAGAIN;
		skip = next - at - chunks * CHUNK_BITS / 8;
	}
	return data_copy(w->mem, at + skip, *bits, size) ? 0 : -EAGAIN;
}

/* ---- pages ---- */

/* The owner's thread; 0: abandoned. */
static uint64_t page_thread(const struct mi_walk *w, const char *bytes)
{
	return mi_word(bytes + w->heap->row->page->thread) & ~THREAD_FLAGS;
}

void mi_decode_slice_page(struct mi_walk *w, const char *bytes, uint64_t meta, struct mi_page *p)
{
	mi_decode_page(w->heap->row->page, bytes, p);
	p->meta = meta;
	p->thread = page_thread(w, bytes);
	/* What is aligned by more than a slice is mapped by itself. */
	p->inside = p->aligned ? (p->block_size < MI_SLICE ? p->block_size : MI_SLICE) : 0;
	if (w->heap->row->page->start_unit) /* page_woffset, page_offset */
		p->area = meta + (uint64_t)w->heap->row->page->start_unit *
					 mi_half(bytes + w->heap->row->page->start);
}

/* Whether mi_collect by its thread visits the page: it is in a queue of the heap that malloc takes. */
static bool is_visited(const struct mi_walk *w, const struct mi_page *p)
{
	const struct mi_heap_layout *l = w->heap->row->heap;
	uint64_t tld, first;

	if (!p->thread)
		return false;
	if (l->owner) /* of theaps those of the main heap, which pages mostly call NULL */
		return !p->heap ||
		       (window_peek(w->mem, w->heap->main_heap + l->owner, &first, sizeof(first)) == 0 &&
			p->heap == first);
	return window_peek(w->mem, p->heap + l->tld, &tld, sizeof(tld)) == 0 &&
	       window_peek(w->mem, tld + l->tld_backing, &first, sizeof(first)) == 0 && p->heap == first;
}

enum mi_verdict mi_count_slice_page(struct mi_walk *w, struct mi_page *p, struct heap_arena *a)
{
	bool changes = false;

	for (unsigned i = 1;; i++) {
		enum mi_verdict verdict = mi_count_page(w, p, i >= ATTEMPTS, a);
		struct mi_page again = *p;
		char bytes[MI_PAGE_STRUCT_MAX];

		if (verdict == MI_PAGE_BROKEN && changes) { /* freed or made anew meanwhile */
			w->walk->estimate = true;
			return MI_PAGE_EMPTY;
		}
		if (verdict != MI_PAGE_CHANGED)
			return verdict;
		w->retries++;
		window_drop(&w->win);
		if (window_peek(w->mem, p->meta, bytes, w->heap->row->page->size) != 0)
			continue;
		mi_decode_slice_page(w, bytes, p->meta, &again);
		again.start = p->start;
		again.end = p->end;
		again.huge = p->huge;
		changes |= !mi_same_page(&again, p);
		*p = again;
	}
}

/* A page without blocks, of so many slices from one on. */
struct empty {
	uint32_t slice, cnt;
	uint64_t thread;
	enum mi_who who; /* whose collect frees it */
};

struct empties {
	struct empty *v;
	size_t cnt, cap;
};

enum mi_who mi_who_frees(const struct mi_walk *w, const struct mi_page *p)
{
	if (!is_visited(w, p))
		return BY_NOBODY;
	return p->thread == w->heaps[0].thread ? BY_MAIN : BY_OTHER;
}

/* ---- what is purged ---- */

/* The smallest piece of slices in a row that is purged, to keep huge pages whole; 1: any. */
static uint32_t smallest_purge(struct mi_walk *w)
{
	uint64_t kib = w->heap->option[MI_MINIMAL_PURGE] ? (uint64_t)w->options.v[MI_MINIMAL_PURGE] : 0,
		 slices;

	if (!kib && w->heap->option[MI_MINIMAL_PURGE] &&
	    w->options.v[MI_ALLOW_THP] >= w->heap->row->slices->huge_purges && w->huge_pages)
		kib = 2048;
	slices = (kib * 1024 + MI_SLICE - 1) / MI_SLICE;
	return slices < 1 ? 1 : slices > 64 ? 64 : (uint32_t)slices;
}

/*
 * _mi_bitmap_forall_setc_rangesn and mi_arena_try_purge_visitor: sets what is purged in *purged.
 * What has been looked at is to be purged no more, be it free or not.
 */
static void purge(struct mi_walk *w, struct mi_slab *slab, uint64_t *purged)
{
	uint32_t least = smallest_purge(w);
	uint64_t piece = least == 64 ? ~0ULL : (1ULL << least) - 1;

	for (uint32_t i = 0; i < slab->cnt / 64; i++) {
		uint64_t ready = least == 1 ? slab->purge[i] : 0;

		for (uint32_t shift = 0; least > 1 && shift + least <= 64; shift += least)
			if ((slab->purge[i] >> shift & piece) == piece)
				ready |= piece << shift;
		purged[i] |= ready & slab->free[i];
		slab->purge[i] &= ~ready;
	}
}

/* What a collect by a thread does with the arena, after freeing the empty pages that are its own. */
static void collect(struct mi_walk *w, struct mi_slab *slab, const struct empties *empty, uint64_t thread,
		    enum mi_who who, uint64_t *purged)
{
	bool scheduled = w->options.v[MI_PURGE_DELAY] > 0 && w->options.v[MI_ARENA_MULT] > 0;

	if (slab->pinned || !mi_arena_purges(w, who))
		return;
	for (size_t i = 0; i < empty->cnt; i++) {
		const struct empty *e = &empty->v[i];

		if (e->who != who || e->thread != thread)
			continue;
		set_bits(slab->free, e->slice, e->cnt);
		set_bits(scheduled ? slab->purge : purged, e->slice, e->cnt);
	}
	if (scheduled)
		purge(w, slab, purged);
}

/* By the main thread, then by each that has pages to free. */
static void collect_all(struct mi_walk *w, struct mi_slab *slab, const struct empties *empty,
			uint64_t *const purged[2])
{
	collect(w, slab, empty, w->heaps[0].thread, BY_MAIN, purged[0]);
	for (size_t i = 0; i < w->owner_cnt; i++)
		if (w->owners[i].thread != w->heaps[0].thread && w->owners[i].thread)
			collect(w, slab, empty, w->owners[i].thread, BY_OTHER, purged[1]);
}

/* ---- one arena ---- */

/* Where the mi_page_t of a slice is, if a page begins there; 0: nowhere. */
static uint64_t find_meta(struct mi_walk *w, const struct mi_slab *slab, uint32_t slice)
{
	uint64_t at = slab->start + slice * MI_SLICE, region = w->heap->row->slices->region, within;
	const char *word;

	if (slab->metas)
		return slab->metas + (uint64_t)slice * w->heap->row->page->size;
	if (!region)
		return at;
	within = (at & (region - 1)) / MI_SLICE;
	word = window_at(&w->win, at - (at & (region - 1)) + within * w->heap->row->page->size, 8);
	return word ? mi_word(word) : 0;
}

static bool read_page(struct mi_walk *w, const struct mi_slab *slab, uint32_t slice, struct mi_page *p,
		      uint32_t *cnt)
{
	const struct mi_page_layout *l = w->heap->row->page;
	uint64_t meta = find_meta(w, slab, slice);
	const char *at = NULL;
	char bytes[MI_PAGE_STRUCT_MAX];
	struct memid memid;

	if (meta % TARGET_PAGE_SIZE + l->size <= TARGET_PAGE_SIZE)
		at = window_at(&w->win, meta, l->size);
	else if (window_peek(w->mem, meta, bytes, l->size) == 0)
		at = bytes;
	if (!at)
		return false;
	memid = decode_memid(at + l->memid);
	if (memid.kind != w->heap->row->slices->arena_kind || memid.base != slab->addr ||
	    memid.slice != slice || !memid.cnt || memid.cnt > slab->cnt - slice)
		return false;
	mi_decode_slice_page(w, at, meta, p);
	p->start = slab->start + slice * MI_SLICE;
	p->end = p->start + memid.cnt * MI_SLICE;
	*cnt = memid.cnt;
	return p->block_size != 0;
}

/*
 * Blocks of a chunk of slices are marked in an extent of its own, unless all of it is free.
 * Returns how far extents reach.
 */
static uint32_t note_extent(struct mi_walk *w, const struct mi_slab *slab, uint32_t slice, uint32_t noted)
{
	uint32_t chunk = slice / CHUNK_BITS * CHUNK_BITS;
	bool any = false;

	if (!w->pages || slice < noted)
		return noted;
	for (uint32_t i = slice; i < chunk + CHUNK_BITS; i++)
		any |= !is_set(slab->free, i);
	if (!any)
		return noted;
	if (noted < chunk)
		heap_pages_add_bare(w->pages, slab->start + noted * MI_SLICE, slab->start + chunk * MI_SLICE);
	heap_pages_begin_extent(w->pages, slab->start + chunk * MI_SLICE);
	heap_pages_cut(w->pages, slab->start + (chunk + CHUNK_BITS) * MI_SLICE);
	return chunk + CHUNK_BITS;
}

/* Counts the pages, and lists the empty ones. The rest is left to count_rest. */
static int count_pages(struct mi_walk *w, const struct mi_slab *slab, uint64_t *counted,
		       struct empties *empty)
{
	uint32_t slice = slab->info, cnt, noted = 0;

	while (slice < slab->cnt) {
		struct heap_arena *a;
		struct mi_page p;
		enum mi_verdict verdict;

		noted = note_extent(w, slab, slice, noted);

		if (is_set(slab->free, slice) || !read_page(w, slab, slice, &p, &cnt)) {
			slice++;
			continue;
		}
		a = mi_owner(w, p.thread);
		if (!a)
			return -ENOMEM;
		verdict = mi_count_slice_page(w, &p, a);
		if (verdict == MI_PAGE_EMPTY) {
			if (!mi_grow(w, &empty->v, &empty->cap, empty->cnt, sizeof(*empty->v)))
				return -ENOMEM;
			empty->v[empty->cnt++] = (struct empty){slice, cnt, p.thread, mi_who_frees(w, &p)};
		} else if (verdict == MI_PAGE_COUNTED) {
			a->f.held += p.end - p.start;
			w->known_meta = p.meta;
			w->known_slice = p.area / MI_SLICE;
		} else {
			mi_broken(a, p.meta, "a page whose counts contradict each other");
		}
		if (verdict != MI_PAGE_BROKEN)
			set_bits(counted, slice, cnt);
		slice += cnt;
	}
	if (w->pages && noted < slab->cnt)
		heap_pages_add_bare(w->pages, slab->start + noted * MI_SLICE,
				    slab->start + slab->cnt * MI_SLICE);
	return 0;
}

static enum mi_who who_purges(const uint64_t *by_main, const uint64_t *by_other, uint32_t slice)
{
	return is_set(by_main, slice) ? BY_MAIN : is_set(by_other, slice) ? BY_OTHER : BY_NOBODY;
}

/* What is in no page with blocks: empty pages, free slices, and the arena's own. */
static void count_rest(struct mi_walk *w, const struct mi_slab *slab, const uint64_t *counted,
		       const uint64_t *was_free, const struct empties *empty, uint64_t *const purged[2])
{
	uint32_t run = 0;

	for (size_t i = 0; i < empty->cnt; i++) {
		const struct empty *e = &empty->v[i];
		struct heap_arena *a = mi_owner(w, e->thread);

		if (!a)
			return;
		a->f.held += e->cnt * MI_SLICE;
		mi_note_empty(w, a, e->cnt * MI_SLICE);
		for (uint32_t k = e->slice; k < e->slice + e->cnt; k++)
			mi_count_free(w, a, slab->start + k * MI_SLICE, slab->start + (k + 1) * MI_SLICE,
				      who_purges(purged[0], purged[1], k));
	}
	for (uint32_t k = 0; k < slab->cnt; k++) {
		struct heap_arena *a = mi_nobody(w);
		uint64_t start = slab->start + k * MI_SLICE;
		bool is_free = k >= slab->info && is_set(was_free, k);

		if (!a)
			return;
		if (run && !is_free) {
			mi_note_free(w, a, run * MI_SLICE);
			run = 0;
		}
		if (k >= slab->info && is_set(counted, k))
			continue;
		a->f.held += MI_SLICE;
		if (is_free)
			mi_count_free(w, a, start, start + MI_SLICE, who_purges(purged[0], purged[1], k));
		else
			mi_count_header(w, a, start, start + MI_SLICE, BY_NOBODY);
		run += is_free;
	}
	if (run)
		mi_note_free(w, mi_nobody(w), run * MI_SLICE);
}

static bool is_covered(const struct mi_walk *w, const struct mi_slab *slab)
{
	for (size_t i = 0; i < w->covered_cnt; i++)
		if (slab->start < w->covered[i].end &&
		    w->covered[i].start < slab->start + slab->cnt * MI_SLICE)
			return true;
	return false;
}

static int walk_slab(struct mi_walk *w, uint64_t addr)
{
	struct empties empty = {.v = NULL};
	uint64_t bitmaps[3], *was_free = NULL, *counted = NULL, *purged[2] = {NULL, NULL};
	struct mi_slab slab;
	size_t size;
	int rc;

	if (!read_slab(w->heap, w->mem, addr, &slab, bitmaps) || is_covered(w, &slab))
		return 0; /* gone */
	if (!mi_grow(w, &w->covered, &w->covered_cap, w->covered_cnt, sizeof(*w->covered)))
		return -ENOMEM;
	w->covered[w->covered_cnt++] = (struct data_range){slab.start, slab.start + slab.cnt * MI_SLICE};
	size = slab.cnt / 8;
	rc = read_bits(w, &slab, bitmaps[0], bitmaps[1], &slab.free);
	if (!rc)
		rc = read_bits(w, &slab, bitmaps[2], 0, &slab.purge);
	was_free = malloc(size);
	counted = calloc(1, size);
	purged[0] = calloc(1, size);
	purged[1] = calloc(1, size);
	if (!rc && (!was_free || !counted || !purged[0] || !purged[1]))
		rc = -ENOMEM;
	if (!rc)
		rc = count_pages(w, &slab, counted, &empty);
	if (!rc) {
		memcpy(was_free, slab.free, size);
		collect_all(w, &slab, &empty, purged);
		count_rest(w, &slab, counted, was_free, &empty, purged);
	}
	free(slab.free);
	free(slab.purge);
	free(was_free);
	free(counted);
	free(purged[0]);
	free(purged[1]);
	free(empty.v);
	return rc;
}

/* Whether huge pages are there to be kept whole: mi_os_mem_config, of page sizes that no one else lists so.
 */
static bool scan_for_config(const char *bytes, size_t len, uint64_t addr, void *arg)
{
	bool *huge = arg;

	(void)addr;
	for (size_t off = 0; off + 48 <= len; off += 8)
		if (mi_word(bytes + off) == TARGET_PAGE_SIZE && mi_word(bytes + off + 8) == 2048 * 1024 &&
		    mi_word(bytes + off + 16) == TARGET_PAGE_SIZE) {
			*huge = bytes[off + 43] != 0; /* has_transparent_huge_pages */
			return true;
		}
	return false;
}

int mi_walk_slices(struct mi_walk *w)
{
	const struct mi_heap_layout *l = w->heap->row->heap;
	uint64_t arenas[ARENAS_MAX], tld;
	size_t cnt = find_slabs(w->heap, w->mem, arenas);
	int rc = 0;

	if (!mi_grow(w, &w->heaps, &w->heap_cap, 0, sizeof(*w->heaps)))
		return -ENOMEM;
	w->heaps[0] = (struct mi_heap){.addr = w->heap->main_heap, .collects = true};
	w->heap_cnt = 1;
	if (window_peek(w->mem, w->heap->main_heap + l->tld, &tld, sizeof(tld)) != 0 ||
	    window_peek(w->mem, tld + l->tld_thread, &w->heaps[0].thread, sizeof(uint64_t)) != 0)
		return -EAGAIN;
	data_scan(w->mem, w->heap->data, scan_for_config, &w->huge_pages);
	for (size_t i = 0; i < cnt && !rc; i++)
		rc = walk_slab(w, arenas[i]);
	if (!rc)
		rc = mi_walk_mapped(w);
	return rc;
}
