/*
 * Where the fields of glibc's malloc structs are, by version (LP64). The rows were read off
 * malloc/malloc.c (struct malloc_state, struct malloc_par, struct tcache_perthread_struct)
 * and malloc/arena.c (heap_info) of the glibc releases that each names.
 */
#include <errno.h>
#include <string.h>

#include "heap/glibc_heap.h"

/* clang-format off: tables */

/* malloc_par: 2.17–2.23 still had max_total_mem before sbrk_base. */
static const struct glibc_par par_2_17 = {.n_mmaps = 40, .mmapped_mem = 56, .sbrk_base = 80, .size = 88};
/* 2.24 dropped it; 2.26 appended tcache_bins, tcache_max_bytes, tcache_count. */
static const struct glibc_par par_2_24 = {
	.n_mmaps = 40, .mmapped_mem = 56, .sbrk_base = 72, .tcache_count = 96, .size = 104};
/* 2.35 added thp_pagesize, hp_pagesize and hp_flags. */
static const struct glibc_par par_2_35 = {.thp_pagesize = 40,
					  .hp_pagesize = 48,
					  .n_mmaps = 60,
					  .mmapped_mem = 80,
					  .sbrk_base = 96,
					  .tcache_count = 120,
					  .size = 128};
/* 2.43 added thp_mode. */
static const struct glibc_par par_2_43 = {.thp_pagesize = 48,
					  .hp_pagesize = 56,
					  .n_mmaps = 68,
					  .mmapped_mem = 88,
					  .sbrk_base = 104,
					  .tcache_count = 128,
					  .size = 136};

/* tcache_perthread_struct: 2.26 has char counts, 2.30 uint16_t, 2.42 uint16_t num_slots that count down. */
static const struct glibc_tcache tcache_2_26 = {.chunk = 0x250, .bins = 64, .width = 1, .entries = 64};
static const struct glibc_tcache tcache_2_30 = {.chunk = 0x290, .bins = 64, .width = 2, .entries = 128};
static const struct glibc_tcache tcache_2_42 = {
	.chunk = 0x300, .bins = 76, .width = 2, .entries = 152, .down = true};

/*
 * malloc_state: 2.23 added attached_threads, 2.27 have_fastchunks, 2.43 dropped the fastbins.
 * heap_info: 2.35 added pagesize. Safe-linking came with 2.32. The newest row comes first.
 */
const struct glibc_row glibc_rows[] = {
	{2043, 2043, "2.43", .bins = 24, .fastbins = 0, .system_mem = 24, .heap_info = 0x30,
	 .safe_linking = true, .par = &par_2_43, .tcache = &tcache_2_42},
	{2042, 2042, "2.42", .bins = 112, .fastbins = 16, .system_mem = 24, .heap_info = 0x30,
	 .safe_linking = true, .par = &par_2_35, .tcache = &tcache_2_42},
	{2035, 2041, "2.35–2.41", .bins = 112, .fastbins = 16, .system_mem = 24, .heap_info = 0x30,
	 .safe_linking = true, .par = &par_2_35, .tcache = &tcache_2_30},
	{2032, 2034, "2.32–2.34", .bins = 112, .fastbins = 16, .system_mem = 24, .heap_info = 0x20,
	 .safe_linking = true, .par = &par_2_24, .tcache = &tcache_2_30},
	{2030, 2031, "2.30–2.31", .bins = 112, .fastbins = 16, .system_mem = 24, .heap_info = 0x20,
	 .par = &par_2_24, .tcache = &tcache_2_30},
	{2027, 2029, "2.27–2.29", .bins = 112, .fastbins = 16, .system_mem = 24, .heap_info = 0x20,
	 .par = &par_2_24, .tcache = &tcache_2_26},
	{2026, 2026, "2.26", .bins = 104, .fastbins = 8, .system_mem = 24, .heap_info = 0x20,
	 .par = &par_2_24, .tcache = &tcache_2_26},
	{2024, 2025, "2.24–2.25", .bins = 104, .fastbins = 8, .system_mem = 24, .heap_info = 0x20,
	 .par = &par_2_24},
	{2023, 2023, "2.23", .bins = 104, .fastbins = 8, .system_mem = 24, .heap_info = 0x20,
	 .par = &par_2_17},
	{2017, 2022, "2.17–2.22", .bins = 104, .fastbins = 8, .system_mem = 16, .heap_info = 0x20,
	 .par = &par_2_17},
};
/* clang-format on */
const size_t glibc_row_cnt = sizeof(glibc_rows) / sizeof(glibc_rows[0]);

#define STATE_FLAGS 4 /* in malloc_state, behind the mutex */
#define NONCONTIGUOUS_BIT 2
#define STATE_SIZE_MAX 2304

static uint64_t word(const char *at)
{
	uint64_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

bool glibc_is_huge(const struct mapping *m)
{
	return m->read && m->write && !m->shared && !strncmp(m->name, "/anon_hugepage", 14);
}

uint64_t glibc_arena_size(const struct heap *heap)
{
	return heap->system_mem + 16; /* system_mem and max_system_mem come last */
}

int glibc_read_arena(const struct heap *heap, struct memory *mem, uint64_t addr, struct glibc_arena *arena)
{
	char state[STATE_SIZE_MAX];
	uint64_t head;
	uint32_t flags;
	int rc = window_peek(mem, addr, state, glibc_arena_size(heap));

	if (rc)
		return rc;
	memcpy(&flags, state + STATE_FLAGS, sizeof(flags));
	*arena = (struct glibc_arena){
		.addr = addr,
		.top = word(state + heap->row->bins - 16),
		.next = word(state + glibc_next_offset(heap->row)),
		.system_mem = word(state + heap->system_mem),
		.attached = word(state + heap->system_mem - 8),
		.contiguous = !(flags & NONCONTIGUOUS_BIT),
	};
	if (heap->row->fastbins)
		memcpy(arena->fast, state + heap->row->fastbins, sizeof(arena->fast));
	/* An arena without memory has its first bin for a top: initial_top() in malloc.c. */
	if (arena->top == addr + heap->row->bins - 16) {
		arena->top = 0;
		return 0;
	}
	if (arena->top & 15 || window_peek(mem, arena->top + 8, &head, sizeof(head)) != 0)
		return -ENODATA;
	arena->top_size = head & ~CHUNK_FLAGS;
	return arena->top_size < CHUNK_SIZE_MAX ? 0 : -ENODATA;
}

int glibc_read_params(const struct heap *heap, struct memory *mem, struct glibc_params *params)
{
	const struct glibc_par *at = heap->row->par;
	char par[PAR_SIZE_MAX];
	uint32_t n_mmaps;
	int rc;

	*params = (struct glibc_params){0};
	if (!heap->par)
		return 0;
	rc = window_peek(mem, heap->par, par, at->size);
	if (rc)
		return rc;
	memcpy(&n_mmaps, par + at->n_mmaps, sizeof(n_mmaps));
	*params = (struct glibc_params){
		.trim_threshold = word(par + PAR_TRIM_THRESHOLD),
		.top_pad = word(par + PAR_TOP_PAD),
		.mmap_threshold = word(par + PAR_MMAP_THRESHOLD),
		.arena_max = word(par + PAR_ARENA_MAX),
		.thp_pagesize = at->thp_pagesize ? word(par + at->thp_pagesize) : 0,
		.hp_pagesize = at->hp_pagesize ? word(par + at->hp_pagesize) : 0,
		.n_mmaps = n_mmaps,
		.mmapped_mem = word(par + at->mmapped_mem),
		.sbrk_base = word(par + at->sbrk_base),
		.tcache_count = at->tcache_count ? word(par + at->tcache_count) : 0,
	};
	return 0;
}

uint64_t glibc_heap_of(const struct heap *heap, struct memory *mem, const struct glibc_params *params,
		       uint64_t addr)
{
	/*
	 * heap_max_size() in malloc/arena.c: with huge pages four of them, up to 2.42 at least. The
	 * smaller size first: a heap of 8 MiB at a multiple of 64 would pass for all that lie behind it.
	 */
	const uint64_t sizes[] = {4 * params->hp_pagesize, HEAP_MAX_DEFAULT};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint64_t base, info[2]; /* ar_ptr, prev */

		if (sizes[i] & (sizes[i] - 1) || sizes[i] < TARGET_PAGE_SIZE)
			continue;
		base = align_down(addr, sizes[i]);
		if (!base || window_peek(mem, base, info, sizeof(info)) != 0)
			continue;
		/* ar_ptr: the arena's state, which lies right behind the header of its first heap. */
		if (info[0] == align_down(info[0], sizes[i]) + heap->row->heap_info)
			return base;
	}
	return 0;
}
