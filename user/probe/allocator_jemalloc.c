/*
 * jemalloc 4 and 5, plain or with its usual prefixes (je_, and _rjem_ in Rust programs).
 * Its purge is an argument of mallctl ("arena.N.purge"), not a function: no row.
 */
#include "probe/rows.h"

static const char *const files[] = {"libjemalloc.so", NULL};
static const char *const fingerprint[] = {"mallocx", "je_mallocx", "_rjem_mallocx", NULL};
static const char *const entry_points[] = {
	"malloc",        "calloc",       "realloc",       "free",           "memalign", "posix_memalign",
	"aligned_alloc", "valloc",       "pvalloc",       "_Znwm",          "_Znam",    "_ZdlPv",
	"_ZdaPv",        "_ZdlPvm",      "_ZdaPvm",       "mallocx",        "rallocx",  "dallocx",
	"sdallocx",      "_rjem_malloc", "_rjem_mallocx", "_rjem_sdallocx", NULL,
};

static const struct probe_row rows[] = {
	C_ROWS,
	CPP_ROWS,
	ALLOC("mallocx", .size = 1),
	REALLOC("rallocx", .ptr = 1, .size = 2),
	FREE("dallocx"),
	FREE("sdallocx"),
	ALLOC("_rjem_malloc", .size = 1),
	ALLOC("_rjem_calloc", .count = 1, .size = 2),
	ALLOC("_rjem_mallocx", .size = 1),
	REALLOC("_rjem_realloc", .ptr = 1, .size = 2, .on_null = REALLOC_FREES_ZERO),
	REALLOC("_rjem_rallocx", .ptr = 1, .size = 2),
	FREE("_rjem_sdallocx"),
	FREE("_rjem_dallocx"),
	FREE("_rjem_free"),
	{.symbol = NULL},
};

extern const struct allocator allocator_jemalloc;
const struct allocator allocator_jemalloc = {
	.name = "jemalloc",
	.file_prefixes = files,
	.fingerprint = fingerprint,
	.entry_points = entry_points,
	.purge_call = "mallctl(\"arena.4096.purge\", NULL, NULL, NULL, 0)",
	.rows = rows,
};
