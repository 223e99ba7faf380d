/*
 * jemalloc 3.6 to 5.3 (include/jemalloc/jemalloc_protos.h.in, src/jemalloc_cpp.cpp), plain or with
 * a prefix of --with-jemalloc-prefix: je_ by its own default outside of Linux and in redis, _rjem_
 * in Rust programs (tikv-jemallocator), those of DuckDB and Arrow.
 *
 * Its purge is an argument of mallctl. xallocx changes a block's size in place: that is not seen.
 */
#include "probe/rows.h"

static const char *const files[] = {"libjemalloc.so", NULL};
static const char *const prefixes[] = {"", "je_", "_rjem_", "rjem_", "duckdb_je_", "je_arrow_", NULL};
static const char *const fingerprint[] = {"mallocx", "mallctlbymib", NULL};
static const char *const entry_points[] = {
	"malloc",  "calloc",  "realloc",  "free",   "memalign", "posix_memalign", "aligned_alloc", "valloc",
	"pvalloc", "_Znwm",   "_Znam",    "_ZdlPv", "_ZdaPv",   "_ZdlPvm",        "_ZdaPvm",       "mallocx",
	"rallocx", "dallocx", "sdallocx", NULL,
};
static const char *const releasers[] = {"je_pages_", "pages_", "os_pages_", NULL};

static const struct probe_row rows[] = {
	{.symbol = "mallctl", .shape = PROBE_CONTROL, .required = true, .has_result = true},
	{.symbol = "mallctlbymib", .shape = PROBE_CONTROL_MIB, .required = true, .has_result = true},
	C_ROWS,
	CPP_ROWS,
	ALLOC("mallocx", .size = 1),
	REALLOC("rallocx", .ptr = 1, .size = 2),
	FREE("dallocx"),
	FREE("sdallocx"),
	{.symbol = NULL},
};

extern const struct allocator allocator_jemalloc;
const struct allocator allocator_jemalloc = {
	.name = "jemalloc",
	.file_prefixes = files,
	.prefixes = prefixes,
	.fingerprint = fingerprint,
	.entry_points = entry_points,
	.releasers = releasers,
	.purge_call = "mallctl(\"arena.4096.purge\", NULL, NULL, NULL, 0)",
	.rows = rows,
};
