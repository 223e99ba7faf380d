/*
 * Struct offsets by version, as gdb's ptype /o tells them of release builds of every tag from
 * v2.0.9 to v3.4.3 for x86-64 (types.h, segment-cache.c and arena.c there), and of 3.6.0 as
 * Debian builds it. 2.1.0, 2.1.1, 2.1.3 and 2.1.5 were never released as stable.
 */
#include "heap/mimalloc_heap.h"

static const struct mi_page_layout page_2_0 = {
	.size = 80,
	.capacity = 10,
	.reserved = 12,
	.free = 16,
	.local_free = 32,
	.thread_free = 40,
	.used = 24,
	.used_width = 4,
	.block_size = 28,
	.block_size_width = 4,
	.next = 56,
	.heap = 48,
	.flags = 14,
	.full_mask = 1,
	.aligned_mask = 2,
	.retired = 15,
	.retired_mask = 0xfe,
};

static const struct mi_page_layout page_2_1_4 = {
	.size = 96,
	.capacity = 10,
	.reserved = 12,
	.free = 16,
	.local_free = 24,
	.thread_free = 56,
	.used = 32,
	.used_width = 2,
	.block_size = 40,
	.block_size_width = 8,
	.start = 48,
	.next = 72,
	.heap = 64,
	.flags = 14,
	.full_mask = 1,
	.aligned_mask = 2,
	.retired = 15,
	.retired_mask = 0xfe,
};

static const struct mi_heap_layout heap_2_0 = {.queues = 1040,
					       .queue_size = 24,
					       .queue_block = 16,
					       .delayed = 2840,
					       .thread = 2848,
					       .cookie = 2864,
					       .tld_backing = 16};

/* Only what stands before the queues grows. */
#define HEAP_2_1_4                                                                                           \
	.queue_size = 24, .queue_block = 16, .delayed = 8, .thread = 16, .cookie = 32, .tld_backing = 16

static const struct mi_heap_layout heap_2_1_4 = {.queues = 1264, HEAP_2_1_4};
static const struct mi_heap_layout heap_2_2 = {.queues = 1280, HEAP_2_1_4};
static const struct mi_heap_layout heap_2_3 = {.queues = 1288, HEAP_2_1_4};

/* Until 3.6. */
#define PAGE_3_0                                                                                             \
	.capacity = 18, .reserved = 20, .free = 8, .local_free = 24, .thread_free = 32, .used = 16,          \
	.used_width = 2, .block_size = 40, .block_size_width = 8, .start = 48, .next = 72, .heap = 64,       \
	.thread = 0, .full_mask = 1, .aligned_mask = 2

static const struct mi_page_layout page_3_0 = {PAGE_3_0, .size = 120, .memid = 96};
static const struct mi_page_layout page_3_4 = {PAGE_3_0, .size = 112, .start_unit = 8, .memid = 88};

static const struct mi_page_layout page_3_6 = {
	.size = 128,
	.capacity = 56,
	.reserved = 58,
	.free = 16,
	.local_free = 24,
	.thread_free = 64,
	.used = 40,
	.used_width = 2,
	.block_size = 32,
	.block_size_width = 8,
	.start = 48,
	.start_unit = 1,
	.next = 88,
	.heap = 80,
	.thread = 8,
	.flags = 8,
	.memid = 104,
	.full_mask = 1,
	.aligned_mask = 2,
};

static const struct mi_heap_layout heap_3_0_1 = {
	.queues = 1248, .queue_size = 24, .queue_block = 16, .tld_backing = 24};
static const struct mi_heap_layout heap_3_0_7 = {
	.queues = 1248, .queue_size = 32, .queue_block = 24, .tld_backing = 24};
static const struct mi_heap_layout heap_3_1 = {
	.queues = 1264, .queue_size = 32, .queue_block = 24, .tld_backing = 32};
static const struct mi_heap_layout heap_3_2 = {
	.queues = 1288, .queue_size = 32, .queue_block = 24, .owner = 8};
static const struct mi_heap_layout heap_3_3 = {
	.queues = 1304, .queue_size = 32, .queue_block = 24, .owner = 8};
static const struct mi_heap_layout heap_3_4 = {
	.queues = 1312, .queue_size = 32, .queue_block = 24, .owner = 8};

static const struct mi_heap_layout heap_3_6 = {
	.queues = 1400, .queue_size = 40, .queue_block = 24, .tld = 1032, .owner = 1040};

static const struct mi_slices_layout slices_3_0 = {.cnt = 32, .free = 64, .arena_kind = 7, .os_kind = 4};
static const struct mi_slices_layout slices_3_1 = {
	.cnt = 32, .free = 80, .huge_purges = 1, .arena_kind = 7, .os_kind = 4};
static const struct mi_slices_layout slices_3_2 = {
	.cnt = 40, .free = 88, .huge_purges = 1, .arena_kind = 7, .os_kind = 4};
static const struct mi_slices_layout slices_3_3 = {
	.cnt = 40, .free = 104, .metas = 136, .huge_purges = 2, .arena_kind = 7, .os_kind = 4};

static const struct mi_slices_layout slices_3_6 = {.cnt = 48,
						   .free = 112,
						   .region = 256 << 20,
						   .map_head = 80,
						   .start = 40,
						   .arena_kind = 6,
						   .os_kind = 3,
						   .huge_purges = 2};

/* Behind the memid, before 2.1.8. */
#define SEGMENT_2_0_REST                                                                                     \
	.expire = 40, .purge = 48, .commit = 112, .used = 208, .cookie = 216, .slices = 224, .kind = 240,    \
	.entries = 248, .thread = 256, .first = 264
/* From 2.1 on memid is a struct: is_pinned at 16, memkind at 20, MI_MEM_ARENA is 6. */
#define SEGMENT_2_1_MEMID .pinned = 16, .arena = 20, .arena_kind = 6, .allow = 25, .bytes = 32

static const struct mi_segment_layout segment_2_0 = {.pinned = 8, .arena = 0, .allow = 32, SEGMENT_2_0_REST};
static const struct mi_segment_layout segment_2_1 = {SEGMENT_2_1_MEMID, SEGMENT_2_0_REST};

static const struct mi_segment_layout segment_2_1_8 = {
	SEGMENT_2_1_MEMID, .expire = 48, .purge = 56,    .commit = 120, .used = 216,  .cookie = 224,
	.slices = 248,     .kind = 264,  .entries = 272, .thread = 280, .first = 288,
};

static const struct mi_arena_layout arena_2_0 = {.start = 8, .blocks = 16, .pinned = 38, .inuse = 64};
static const struct mi_arena_layout arena_2_1 = {
	.start = 32, .blocks = 40, .pinned = 24, .purge = 128, .inuse = 136};
static const struct mi_arena_layout arena_2_1_4 = {
	.start = 32, .blocks = 40, .pinned = 24, .purge = 128, .inuse = 144};
static const struct mi_arena_layout arena_2_1_8 = {
	.start = 32, .blocks = 40, .pinned = 24, .purge = 168, .inuse = 184};

/*
 * In the order in which they are tried: 2.0.9 says the least of itself. Those of 2.1.4 to 2.1.6 differ
 * from 2.1.7 in what a collect does last only: no layout tells them apart.
 */
#define SEGMENTS(range, heap, page, segment, arena, thread_data)                                             \
	range, &(heap), &(page), &(segment), &(arena), NULL, thread_data
#define SLICES(range, heap, page, slices) range, &(heap), &(page), NULL, NULL, &(slices), 0

const struct mi_row mi_rows[] = {
	{SEGMENTS("2.1.2", heap_2_0, page_2_0, segment_2_1, arena_2_1, 8192),
	 {.main_purges_arenas = true, .frees_thread_data = true}},
	{SEGMENTS("2.0.9", heap_2_0, page_2_0, segment_2_0, arena_2_0, 8192), {.keeps_segments = true}},
	{SEGMENTS("2.1.4–2.1.7", heap_2_1_4, page_2_1_4, segment_2_1, arena_2_1_4, 8192),
	 {.collects_segments = true, .frees_thread_data = true, .loses_mapped = true}},
	{SEGMENTS("2.1.8–2.1.9", heap_2_1_4, page_2_1_4, segment_2_1_8, arena_2_1_8, 8192),
	 {.collects_segments = true, .frees_thread_data = true}},
	{SEGMENTS("2.2", heap_2_2, page_2_1_4, segment_2_1_8, arena_2_1_8, 12288),
	 {.collects_segments = true, .frees_thread_data = true}},
	{SEGMENTS("2.3–2.4", heap_2_3, page_2_1_4, segment_2_1_8, arena_2_1_8, 12288),
	 {.collects_segments = true, .frees_thread_data = true}},
	{SLICES("3.0.1", heap_3_0_1, page_3_0, slices_3_0), {.frees_inside = true}},
	{SLICES("3.0.7–3.0.12", heap_3_0_7, page_3_0, slices_3_0), {.keeps_segments = false}},
	{SLICES("3.1", heap_3_1, page_3_0, slices_3_1), {.keeps_segments = false}},
	{SLICES("3.2", heap_3_2, page_3_0, slices_3_2), {.keeps_segments = false}},
	{SLICES("3.3", heap_3_3, page_3_0, slices_3_3), {.keeps_segments = false}},
	{SLICES("3.4", heap_3_4, page_3_4, slices_3_3), {.keeps_segments = false}},
	{SLICES("3.6", heap_3_6, page_3_6, slices_3_6), {.keeps_segments = false}},
};

const size_t mi_row_cnt = sizeof(mi_rows) / sizeof(mi_rows[0]);

static uint64_t field(const char *bytes, uint8_t offset, uint8_t width)
{
	uint64_t value = 0;

	__builtin_memcpy(&value, bytes + offset, width);
	return value;
}

void mi_decode_page(const struct mi_page_layout *l, const char *bytes, struct mi_page *page)
{
	*page = (struct mi_page){
		.area = l->start ? mi_word(bytes + l->start) : 0, /* but where it is in words */
		.block_size = field(bytes, l->block_size, l->block_size_width),
		.free = mi_word(bytes + l->free),
		.local_free = mi_word(bytes + l->local_free),
		.thread_free = mi_word(bytes + l->thread_free) & ~3ULL, /* mi_delayed_t, or 3.x: owned */
		.heap = mi_word(bytes + l->heap),
		.next = mi_word(bytes + l->next),
		.used = (uint32_t)field(bytes, l->used, l->used_width),
		.capacity = (uint32_t)field(bytes, l->capacity, 2),
		.reserved = (uint32_t)field(bytes, l->reserved, 2),
		.alone = !mi_word(bytes + l->next) && !mi_word(bytes + l->next + 8) &&
			 !(bytes[l->flags] & l->full_mask),
		.retired = bytes[l->retired] & l->retired_mask,
		.aligned = bytes[l->flags] & l->aligned_mask,
	};
}
