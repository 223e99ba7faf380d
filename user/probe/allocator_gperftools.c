/* gperftools' tcmalloc: src/gperftools/malloc_extension_c.h of 2.10. */
#include "probe/rows.h"

static const char *const files[] = {
	"libtcmalloc.so",       "libtcmalloc_minimal.so",       "libtcmalloc_and_profiler.so",
	"libtcmalloc_debug.so", "libtcmalloc_minimal_debug.so", NULL};
static const char *const fingerprint[] = {"tc_malloc", "MallocExtension_ReleaseFreeMemory", NULL};
static const char *const entry_points[] = {
	"malloc",  "calloc",  "realloc",   "free",    "memalign", "posix_memalign", "aligned_alloc",
	"valloc",  "pvalloc", "cfree",     "_Znwm",   "_Znam",    "_ZdlPv",         "_ZdaPv",
	"_ZdlPvm", "_ZdaPvm", "tc_malloc", "tc_free", "tc_new",   "tc_delete",      NULL,
};

static const struct probe_row rows[] = {
	{.symbol = "MallocExtension_ReleaseFreeMemory", .shape = PROBE_PURGE, .required = true},
	/* MallocExtension::ReleaseFreeMemory(), which C++ programs call and the C function wraps */
	{.symbol = "_ZN15MallocExtension17ReleaseFreeMemoryEv", .shape = PROBE_PURGE},
	C_ROWS,
	CPP_ROWS,
	{.symbol = NULL},
};

extern const struct allocator allocator_gperftools;
const struct allocator allocator_gperftools = {
	.name = "gperftools",
	.file_prefixes = files,
	.fingerprint = fingerprint,
	.entry_points = entry_points,
	.purge_call = "MallocExtension_ReleaseFreeMemory()",
	.rows = rows,
};
