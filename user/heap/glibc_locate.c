/*
 * Finds main_arena and mp_ in the writable data of the C library, or of a static program,
 * without symbols: by the shape of 127 bins that point to themselves or to chunks, by the
 * ring of arenas that closes for one place of bins[] only, and by mp_'s fields agreeing
 * with the arena. What is in memory decides; the file's version only breaks ties.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "heap/data.h"
#include "heap/glibc_heap.h"

#define BINS_CHECKED 8 /* of the bins that are not empty, by their first chunk's link back */
#define PAR_TRIES 3
#define EVIDENCE_STEPS 64 /* along one tcache list; 7 are usual */

static uint64_t word(const char *at)
{
	uint64_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

static uint32_t half(const char *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

/* Whether 127 {fd, bk} pairs at addr may be the bins of an arena: empty ones point to themselves. */
static bool are_bins(const char *bytes, uint64_t addr)
{
	for (unsigned i = 0; i < BIN_PAIRS; i++) {
		uint64_t fd = word(bytes + 16 * i), bk = word(bytes + 16 * i + 8);
		uint64_t self = addr + 16 * i - 16;

		if (fd == self && bk == self)
			continue;
		if (!fd || !bk || (fd | bk) & 15 || fd >= ADDRESS_END || bk >= ADDRESS_END || fd == self ||
		    bk == self)
			return false;
	}
	return true;
}

/*
 * Whether the first chunks of some bins link back to them. A heap with few large holes may
 * leave no bin empty; a list that changes just now, or a page that is swapped out, may not
 * agree: one bin that does is enough beside those that are empty.
 */
static bool bins_are_linked(struct memory *mem, const char *bytes, uint64_t addr)
{
	unsigned used = 0, linked = 0;

	for (unsigned i = 0; i < BIN_PAIRS && used < BINS_CHECKED; i++) {
		uint64_t fd = word(bytes + 16 * i), self = addr + 16 * i - 16, back;

		if (fd == self)
			continue;
		used++;
		linked += window_peek(mem, fd + 24, &back, sizeof(back)) == 0 && back == self;
	}
	return !used || linked;
}

/* Whether the list of arenas that begins at main comes back to it. */
static bool ring_closes(struct memory *mem, uint64_t main, uint16_t next_offset)
{
	uint64_t at = main;

	for (unsigned i = 0; i < ARENA_MAX; i++) {
		if (window_peek(mem, at + next_offset, &at, sizeof(at)) != 0 || !at || at & 7)
			return false;
		if (at == main)
			return true;
	}
	return false;
}

struct arena_scan {
	struct memory *mem;
	struct heap *heap; /* out: row (the newest with that place of bins[]) and main_arena */
};

static bool scan_for_arena(const char *bytes, size_t len, uint64_t addr, void *arg)
{
	struct arena_scan *s = arg;

	for (size_t off = 0; off + 16 * BIN_PAIRS <= len; off += 8) {
		uint16_t tried = 0;
		uint64_t base;

		if (!are_bins(bytes + off, addr + off) || !bins_are_linked(s->mem, bytes + off, addr + off))
			continue;
		for (size_t i = 0; i < glibc_row_cnt; i++) {
			const struct glibc_row *row = &glibc_rows[i];

			if (row->bins == tried)
				continue;
			tried = row->bins;
			base = addr + off - tried;
			if (base > addr + off || !ring_closes(s->mem, base, glibc_next_offset(row)))
				continue;
			s->heap->row = row;
			s->heap->main_arena = base;
			return true;
		}
	}
	return false;
}

static bool is_system_mem(uint64_t value, uint64_t max)
{
	return value >= 4096 && value % 16 == 0 && max >= value && max < CHUNK_SIZE_MAX;
}

/* attached_threads, a small number, came before system_mem with 2.23, and by backports before. */
static int place_system_mem(struct heap *heap, struct memory *mem)
{
	uint16_t next = glibc_next_offset(heap->row);
	uint64_t v[3]; /* what follows next and next_free */
	int rc = window_peek(mem, heap->main_arena + next + 16, v, sizeof(v));

	if (rc)
		return rc;
	heap->system_mem = next + (is_system_mem(v[0], v[1]) && !is_system_mem(v[1], v[2]) ? 16 : 24);
	return 0;
}

struct par_scan {
	const struct glibc_par *par;
	const struct glibc_arena *main;
	const struct maps *maps;
	uint64_t found;
};

/*
 * Where the main arena begins: known exactly while it is one piece that does not change just
 * now, else where the break began, or in the region that was mapped for want of a break.
 */
static bool is_sbrk_base(const struct par_scan *s, uint64_t base)
{
	const struct mapping *m = base ? maps_find(s->maps, base) : NULL;

	if (!s->main->top)
		return base == 0;
	if (s->main->contiguous && base == s->main->top + s->main->top_size - s->main->system_mem)
		return true;
	if (!m || !glibc_is_heap(m))
		return false;
	return !s->main->contiguous || (base == m->start && !strcmp(m->name, "[heap]"));
}

static bool is_par(const struct par_scan *s, const char *bytes)
{
	const struct glibc_par *par = s->par;
	uint64_t n = half(bytes + par->n_mmaps), max_n = half(bytes + par->n_mmaps + 8);
	uint64_t mmapped = word(bytes + par->mmapped_mem), max_mmapped = word(bytes + par->mmapped_mem + 8);

	/* mmapped_mem is whole pages, but for what 2.43's mremap_chunk() leaves. */
	return is_sbrk_base(s, word(bytes + par->sbrk_base)) && n <= max_n &&
	       half(bytes + par->n_mmaps + 12) <= 1 && mmapped % 16 == 0 && max_mmapped % 16 == 0 &&
	       mmapped <= max_mmapped && (n == 0) == (mmapped == 0) && (max_n == 0) == (max_mmapped == 0) &&
	       word(bytes + PAR_MMAP_THRESHOLD) >= 16 &&
	       (!par->thp_pagesize ||
		(word(bytes + par->thp_pagesize) % 4096 == 0 && word(bytes + par->hp_pagesize) % 4096 == 0));
}

static bool scan_for_par(const char *bytes, size_t len, uint64_t addr, void *arg)
{
	struct par_scan *s = arg;

	for (size_t off = 0; off + s->par->size <= len; off += 8)
		if (is_par(s, bytes + off)) {
			s->found = addr + off;
			return true;
		}
	return false;
}

static bool row_fits(const struct heap *heap, const struct glibc_row *row)
{
	return row->bins == heap->row->bins;
}

static bool row_has_version(const struct glibc_row *row, unsigned version)
{
	return version >= row->from && version <= row->to;
}

/* mp_ by the layout of one row, which is taken if it is found. A running target may look odd for a moment. */
static bool find_par(struct heap *heap, struct memory *mem, const struct maps *maps, struct data_range range,
		     const struct glibc_row *row)
{
	struct glibc_arena main;
	struct par_scan s = {.par = row->par, .main = &main, .maps = maps};

	for (unsigned try = 0; try < PAR_TRIES; try++) {
		if (glibc_read_arena(heap, mem, heap->main_arena, &main) != 0 ||
		    !data_scan(mem, range, scan_for_par, &s))
			continue;
		heap->par = s.found;
		heap->row = row;
		return true;
	}
	return false;
}

/* heap_info's size from an arena that is not main's: its state lies right behind the header. */
static uint16_t seen_heap_info(const struct heap *heap, struct memory *mem)
{
	uint64_t next, ar_ptr;

	if (window_peek(mem, heap->main_arena + glibc_next_offset(heap->row), &next, sizeof(next)) != 0 ||
	    next == heap->main_arena)
		return 0;
	for (uint16_t size = 0x20; size <= 0x30; size += 0x10)
		if (window_peek(mem, next - size, &ar_ptr, sizeof(ar_ptr)) == 0 && ar_ptr == next &&
		    (next - size) % 4096 == 0)
			return size;
	return 0;
}

/* Whether a list of cached chunks of one size ends by a row's rule: mangled links or plain ones. */
static bool list_ends(struct memory *mem, uint64_t entry, uint64_t size, const struct glibc_row *row)
{
	for (unsigned i = 0; i < EVIDENCE_STEPS && entry; i++) {
		uint64_t words[2]; /* the chunk's head, and the link behind it */

		if (entry & 15 || window_peek(mem, entry - 8, words, sizeof(words)) != 0 ||
		    (words[0] & ~CHUNK_FLAGS) != size)
			return false;
		entry = row->safe_linking ? words[1] ^ (entry >> 12) : words[1];
	}
	return true;
}

/* What a chunk that may be a tcache struct says of a row: above 0 for it, below 0 against it. */
static int tcache_evidence(struct memory *mem, uint64_t chunk, const struct glibc_row *row)
{
	const struct glibc_tcache *tc = row->tcache;
	char bytes[TCACHE_STRUCT_MAX];
	uint64_t head;
	int score = 1;

	if (window_peek(mem, chunk + 8, &head, sizeof(head)) != 0)
		return 0;
	if ((head & ~CHUNK_FLAGS) != tc->chunk || window_peek(mem, chunk + 16, bytes, tc->chunk - 8) != 0)
		return -1;
	for (unsigned i = 0; i < TCACHE_SMALL_BINS; i++) {
		uint64_t entry = word(bytes + tc->entries + 8 * i);

		if (entry)
			score += list_ends(mem, entry, (i + 2) * 16ULL, row) ? 1 : -1;
	}
	return score;
}

/* Where the main arena begins; 0 if that cannot be told. */
static uint64_t first_chunk(const struct heap *heap, struct memory *mem)
{
	struct glibc_arena main;
	struct glibc_params params;

	if (heap->par && glibc_read_params(heap, mem, &params) == 0)
		return align_up(params.sbrk_base, 16);
	if (glibc_read_arena(heap, mem, heap->main_arena, &main) != 0 || !main.top || !main.contiguous)
		return 0;
	return align_up(main.top + main.top_size - main.system_mem, 16);
}

/* The main arena's first chunk is the first thread's tcache struct, from 2.26 to 2.42. */
static int row_evidence(const struct heap *heap, struct memory *mem, const struct glibc_row *row)
{
	uint64_t first = first_chunk(heap, mem);

	return first && row->tcache && row->fastbins ? tcache_evidence(mem, first, row) : 0;
}

/*
 * The row: of those with this place of bins[] the one that the file names, if mp_ has its
 * shape; else the one that mp_, the size of heap_info and the first tcache speak for.
 */
static void choose_row(struct heap *heap, struct memory *mem, const struct maps *maps,
		       struct data_range range, unsigned file_version)
{
	const struct glibc_row *newest = heap->row, *best = newest;
	uint16_t heap_info = seen_heap_info(heap, mem);
	int best_score = INT_MIN;

	for (size_t i = 0; i < glibc_row_cnt; i++) {
		const struct glibc_row *row = &glibc_rows[i];

		if (row_fits(heap, row) && row_has_version(row, file_version) &&
		    find_par(heap, mem, maps, range, row)) {
			heap->version = file_version;
			return;
		}
	}
	for (size_t i = 0; i < glibc_row_cnt; i++) {
		const struct glibc_row *row = &glibc_rows[i];
		int score = 0;

		if (!row_fits(heap, row))
			continue;
		heap->row = newest;
		heap->par = 0;
		score += find_par(heap, mem, maps, range, row) ? 8 : -8;
		score += heap_info ? (heap_info == row->heap_info ? 4 : -4) : 0;
		score += (glibc_next_offset(newest) + row->system_mem == heap->system_mem) ? 1 : 0;
		score += row_evidence(heap, mem, row);
		if (score > best_score) {
			best_score = score;
			best = row;
		}
	}
	heap->row = best;
	heap->par = 0;
	find_par(heap, mem, maps, range, best);
	if (row_has_version(best, file_version))
		heap->version = file_version;
}

/* An initialised arena that has never had a byte, and none beside it: another allocator serves. */
static bool is_idle(const struct heap *heap, struct memory *mem)
{
	struct glibc_arena main;
	struct glibc_params params;

	if (glibc_read_arena(heap, mem, heap->main_arena, &main) != 0)
		return false;
	return !main.top && main.next == heap->main_arena && glibc_read_params(heap, mem, &params) == 0 &&
	       params.n_mmaps == 0;
}

static bool try_range(struct memory *mem, const struct maps *maps, struct data_range range,
		      unsigned file_version, struct heap *heap)
{
	struct arena_scan s = {mem, heap};

	*heap = (struct heap){0};
	if (!data_scan(mem, range, scan_for_arena, &s) || place_system_mem(heap, mem) != 0)
		return false;
	choose_row(heap, mem, maps, range, file_version);
	return !is_idle(heap, mem);
}

static bool is_libc_name(const char *path)
{
	const char *name = strrchr(path, '/');

	return name && (!strncmp(name, "/libc.so.6", 10) || !strncmp(name, "/libc-2.", 8));
}

int glibc_locate(struct memory *mem, const struct maps *maps, unsigned file_version, struct heap *heap)
{
	bool named = false;

	for (size_t i = 0; i < maps->cnt; i++) {
		struct data_range range;

		if (!is_libc_name(maps->v[i].name))
			continue;
		named = true;
		if (data_range_of(maps, i, &range) && try_range(mem, maps, range, file_version, heap))
			return 0;
	}
	/* A static program, or a C library under another name. */
	for (size_t i = 0; !named && i < maps->cnt; i++) {
		struct data_range range;

		if (data_range_of(maps, i, &range) && try_range(mem, maps, range, file_version, heap))
			return 0;
	}
	return -ENOENT;
}
