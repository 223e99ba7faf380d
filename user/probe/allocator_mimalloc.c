/*
 * mimalloc 1.x to 3.x: include/mimalloc.h and src/alloc-override.c of v2.0.9, v2.2.4 and v3.4.3.
 * mi_strdup and its like are not seen: what they ask for is told by no argument; nor is what
 * mi_heap_destroy frees at once.
 */
#include "probe/rows.h"

static const char *const files[] = {"libmimalloc.so", "libmimalloc-", NULL};
static const char *const fingerprint[] = {"mi_malloc", "mi_collect", NULL};
static const char *const entry_points[] = {
	"malloc",         "calloc",    "realloc",    "free",         "memalign", "posix_memalign",
	"aligned_alloc",  "valloc",    "pvalloc",    "reallocarray", "reallocf", "_Znwm",
	"_Znam",          "_ZdlPv",    "_ZdaPv",     "_ZdlPvm",      "_ZdaPvm",  "mi_malloc",
	"mi_calloc",      "mi_zalloc", "mi_realloc", "mi_free",      "mi_new",   "mi_malloc_aligned",
	"mi_heap_malloc", NULL,
};
static const char *const releasers[] = {"mi_", "_mi_", "unix_", NULL};

/* Those that call one another (mi_collect, mi_heap_collect) are one event, the outer. */
static const struct probe_row rows[] = {
	{.symbol = "mi_collect", .shape = PROBE_PURGE, .required = true},
	{.symbol = "mi_heap_collect", .shape = PROBE_PURGE},
	{.symbol = "mi_collect_reduce", .shape = PROBE_PURGE}, /* 2.2 */
	{.symbol = "mi_theap_collect", .shape = PROBE_PURGE},  /* 3.x */

	ALLOC("malloc", .size = 1, .required = true),
	ALLOC("calloc", .count = 1, .size = 2),
	REALLOC("realloc", .ptr = 1, .size = 2),
	FREE("free"),
	REALLOC("reallocf", .ptr = 1, .size = 2, .on_null = REALLOC_FREES),
	REALLOC("reallocarray", .ptr = 1, .count = 2, .size = 3),
	OUT("posix_memalign", .ptr = 1, .size = 3),
	ALLOC("aligned_alloc", .size = 2),
	ALLOC("memalign", .size = 2),
	ALLOC("valloc", .size = 1),
	ALLOC("pvalloc", .size = 1),
	FREE("cfree"),
	FREE("vfree"),

	ALLOC("mi_malloc", .size = 1),
	ALLOC("mi_malloc_small", .size = 1),
	ALLOC("mi_mallocn", .count = 1, .size = 2),
	ALLOC("mi_calloc", .count = 1, .size = 2),
	ALLOC("mi_zalloc", .size = 1),
	ALLOC("mi_zalloc_small", .size = 1),
	REALLOC("mi_realloc", .ptr = 1, .size = 2),
	REALLOC("mi_reallocn", .ptr = 1, .count = 2, .size = 3),
	REALLOC("mi_reallocf", .ptr = 1, .size = 2, .on_null = REALLOC_FREES),
	REALLOC("mi_rezalloc", .ptr = 1, .size = 2),
	REALLOC("mi_recalloc", .ptr = 1, .count = 2, .size = 3),
	REALLOC("mi_reallocarray", .ptr = 1, .count = 2, .size = 3),
	REALLOC("mi_aligned_recalloc", .ptr = 1, .count = 2, .size = 3),
	REALLOC("mi_aligned_offset_recalloc", .ptr = 1, .count = 2, .size = 3),
	FREE("mi_free"),
	FREE("mi_free_small"),
	FREE("mi_cfree"),
	FREE("mi_free_size"),
	FREE("mi_free_size_aligned"),
	FREE("mi_free_aligned"),

	ALLOC("mi_malloc_aligned", .size = 1),
	ALLOC("mi_malloc_aligned_at", .size = 1),
	ALLOC("mi_zalloc_aligned", .size = 1),
	ALLOC("mi_zalloc_aligned_at", .size = 1),
	ALLOC("mi_calloc_aligned", .count = 1, .size = 2),
	ALLOC("mi_calloc_aligned_at", .count = 1, .size = 2),
	REALLOC("mi_realloc_aligned", .ptr = 1, .size = 2),
	REALLOC("mi_realloc_aligned_at", .ptr = 1, .size = 2),
	REALLOC("mi_rezalloc_aligned", .ptr = 1, .size = 2),
	REALLOC("mi_rezalloc_aligned_at", .ptr = 1, .size = 2),
	REALLOC("mi_recalloc_aligned", .ptr = 1, .count = 2, .size = 3),
	REALLOC("mi_recalloc_aligned_at", .ptr = 1, .count = 2, .size = 3),
	OUT("mi_posix_memalign", .ptr = 1, .size = 3),
	ALLOC("mi_memalign", .size = 2),
	ALLOC("mi_aligned_alloc", .size = 2),
	ALLOC("mi_valloc", .size = 1),
	ALLOC("mi_pvalloc", .size = 1),

	ALLOC("mi_umalloc", .size = 1), /* mi_u…: 3.x */
	ALLOC("mi_umalloc_small", .size = 1),
	ALLOC("mi_umalloc_aligned", .size = 1),
	ALLOC("mi_uzalloc_small", .size = 1),
	ALLOC("mi_uzalloc_aligned", .size = 1),
	ALLOC("mi_ucalloc", .count = 1, .size = 2),
	REALLOC("mi_urealloc", .ptr = 1, .size = 2),
	FREE("mi_ufree"),

	ALLOC("mi_heap_malloc", .size = 2),
	ALLOC("mi_heap_zalloc_small", .size = 2),
	ALLOC("mi_heap_malloc_small", .size = 2),
	ALLOC("mi_heap_mallocn", .count = 2, .size = 3),
	ALLOC("mi_heap_zalloc", .size = 2),
	ALLOC("mi_heap_calloc", .count = 2, .size = 3),
	REALLOC("mi_heap_realloc", .ptr = 2, .size = 3),
	REALLOC("mi_heap_reallocn", .ptr = 2, .count = 3, .size = 4),
	REALLOC("mi_heap_reallocf", .ptr = 2, .size = 3, .on_null = REALLOC_FREES),
	REALLOC("mi_heap_rezalloc", .ptr = 2, .size = 3),
	REALLOC("mi_heap_recalloc", .ptr = 2, .count = 3, .size = 4),
	ALLOC("mi_heap_malloc_aligned", .size = 2),
	ALLOC("mi_heap_malloc_aligned_at", .size = 2),
	ALLOC("mi_heap_zalloc_aligned", .size = 2),
	ALLOC("mi_heap_zalloc_aligned_at", .size = 2),
	ALLOC("mi_heap_calloc_aligned", .count = 2, .size = 3),
	ALLOC("mi_heap_calloc_aligned_at", .count = 2, .size = 3),
	REALLOC("mi_heap_realloc_aligned", .ptr = 2, .size = 3),
	REALLOC("mi_heap_realloc_aligned_at", .ptr = 2, .size = 3),
	REALLOC("mi_heap_rezalloc_aligned", .ptr = 2, .size = 3),
	REALLOC("mi_heap_rezalloc_aligned_at", .ptr = 2, .size = 3),
	REALLOC("mi_heap_recalloc_aligned", .ptr = 2, .count = 3, .size = 4),
	REALLOC("mi_heap_recalloc_aligned_at", .ptr = 2, .count = 3, .size = 4),

	ALLOC("mi_theap_malloc", .size = 2), /* 3.x */
	ALLOC("mi_theap_malloc_small", .size = 2),
	ALLOC("mi_theap_malloc_aligned", .size = 2),
	ALLOC("mi_theap_zalloc", .size = 2),
	ALLOC("mi_theap_zalloc_small", .size = 2),
	ALLOC("mi_theap_calloc", .count = 2, .size = 3),
	REALLOC("mi_theap_realloc", .ptr = 2, .size = 3),

	NEW("mi_new", .size = 1),
	NEW("mi_new_n", .count = 1, .size = 2),
	NEW("mi_new_aligned", .size = 1),
	NEW("mi_new_nothrow", .size = 1),
	NEW("mi_new_aligned_nothrow", .size = 1),
	NEW("mi_heap_alloc_new", .size = 2),
	NEW("mi_heap_alloc_new_n", .count = 2, .size = 3),
	{.symbol = "mi_new_realloc", .shape = PROBE_REALLOC, .throws = true, .ptr = 1, .size = 2},
	{.symbol = "mi_new_reallocn",
	 .shape = PROBE_REALLOC,
	 .throws = true,
	 .ptr = 1,
	 .count = 2,
	 .size = 3},
	CPP_ROWS,
	{.symbol = NULL},
};

/* _mi_os_good_alloc_size: blocks that have a page to themselves. */
static uint64_t rounded_large(uint64_t size)
{
	uint64_t unit = size < 512 << 10  ? 4 << 10
			: size < 2 << 20  ? 64 << 10
			: size < 8 << 20  ? 256 << 10
			: size < 32 << 20 ? 1 << 20
					  : 4 << 20;

	return (size + unit - 1) / unit * unit;
}

/*
 * mi_bin in src/page-queue.c: eight words one by one but even, then four sizes for each power of
 * two. The same in 2.x and 3.x up to 128 KiB; larger ones as 2.x has them.
 */
static uint64_t rounded(uint64_t size)
{
	uint64_t words = (size + 7) / 8, step;

	if (words <= 1)
		return 8;
	if (words <= 8)
		return (words + 1) / 2 * 16;
	if (size > 128 << 10)
		return rounded_large(size);
	step = 1ULL << (63 - __builtin_clzll(words - 1) - 2);
	return (words + step - 1) / step * step * 8;
}

extern const struct allocator allocator_mimalloc;
const struct allocator allocator_mimalloc = {
	.name = "mimalloc",
	.file_prefixes = files,
	.fingerprint = fingerprint,
	.entry_points = entry_points,
	.releasers = releasers,
	.purge_call = "mi_collect(true)",
	.rounded = rounded,
	.rows = rows,
};
