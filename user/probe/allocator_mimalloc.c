/* mimalloc 1.x to 3.x: include/mimalloc.h of v2.0.9, v2.2.4 and v3.1.5 for the purges' names. */
#include "probe/allocator.h"

static const char *const files[] = {"libmimalloc.so", "libmimalloc-", NULL};
static const char *const fingerprint[] = {"mi_malloc", "mi_collect", NULL};
static const char *const entry_points[] = {
	"malloc",         "calloc",    "realloc",    "free",         "memalign", "posix_memalign",
	"aligned_alloc",  "valloc",    "pvalloc",    "reallocarray", "reallocf", "_Znwm",
	"_Znam",          "_ZdlPv",    "_ZdaPv",     "_ZdlPvm",      "_ZdaPvm",  "mi_malloc",
	"mi_calloc",      "mi_zalloc", "mi_realloc", "mi_free",      "mi_new",   "mi_malloc_aligned",
	"mi_heap_malloc", NULL,
};

/* Those that call one another (mi_collect, mi_heap_collect) are one event, the outer. */
static const struct probe_row rows[] = {
	{.symbol = "mi_collect", .shape = PROBE_PURGE, .required = true},
	{.symbol = "mi_heap_collect", .shape = PROBE_PURGE},   /* up to 2.x */
	{.symbol = "mi_collect_reduce", .shape = PROBE_PURGE}, /* 2.2 */
	{.symbol = "mi_theap_collect", .shape = PROBE_PURGE},  /* 3.x */
	{.symbol = NULL},
};

extern const struct allocator allocator_mimalloc;
const struct allocator allocator_mimalloc = {
	.name = "mimalloc",
	.file_prefixes = files,
	.fingerprint = fingerprint,
	.entry_points = entry_points,
	.purge_call = "mi_collect(true)",
	.rows = rows,
};
