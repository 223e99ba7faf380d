/*
 * gperftools' tcmalloc: src/tcmalloc.h.in and src/gperftools/malloc_extension_c.h of 2.10 and 2.16. The
 * plain names are the tc_ ones at the same addresses; a static program may have the latter alone.
 */
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
static const char *const releasers[] = {"_Z22TCMalloc_SystemReleasePvm", NULL};

/* Those that call one another (ReleaseFreeMemory is ReleaseToSystem of all) are one event, the outer. */
static const struct probe_row rows[] = {
	{.symbol = "MallocExtension_ReleaseFreeMemory", .shape = PROBE_PURGE, .required = true},
	{.symbol = "MallocExtension_ReleaseToSystem", .shape = PROBE_PURGE},
	/* MallocExtension::ReleaseFreeMemory(), which C++ programs call and the C function wraps */
	{.symbol = "_ZN15MallocExtension17ReleaseFreeMemoryEv", .shape = PROBE_PURGE},
	/* TCMallocImplementation::ReleaseToSystem(size_t), which a virtual call leads to */
	{.symbol = "_ZN22TCMallocImplementation15ReleaseToSystemEm", .shape = PROBE_PURGE},

	/* libtcmalloc, not _minimal, puts its own before the C library's */
	{.symbol = "mmap", .shape = PROBE_MMAP},
	{.symbol = "mmap64", .shape = PROBE_MMAP},
	{.symbol = "munmap", .shape = PROBE_MUNMAP},
	{.symbol = "mremap", .shape = PROBE_MREMAP},
	{.symbol = "sbrk", .shape = PROBE_BRK},

	C_ROWS,
	FREE("cfree"),
	CPP_ROWS,
	ALLOC("tc_malloc", .size = 1),
	ALLOC("tc_malloc_skip_new_handler", .size = 1),
	ALLOC("tc_calloc", .count = 1, .size = 2),
	REALLOC("tc_realloc", .ptr = 1, .size = 2, .on_null = REALLOC_FREES_ZERO),
	OUT("tc_posix_memalign", .ptr = 1, .size = 3),
	ALLOC("tc_memalign", .size = 2),
	ALLOC("tc_valloc", .size = 1),
	ALLOC("tc_pvalloc", .size = 1),
	FREE("tc_free"),
	FREE("tc_free_sized"),
	FREE("tc_cfree"),
	NEW("tc_new", .size = 1),
	NEW("tc_newarray", .size = 1),
	NEW("tc_new_nothrow", .size = 1),
	NEW("tc_newarray_nothrow", .size = 1),
	NEW("tc_new_aligned", .size = 1),
	NEW("tc_newarray_aligned", .size = 1),
	NEW("tc_new_aligned_nothrow", .size = 1),
	NEW("tc_newarray_aligned_nothrow", .size = 1),
	FREE("tc_delete"),
	FREE("tc_deletearray"),
	FREE("tc_delete_sized"),
	FREE("tc_deletearray_sized"),
	FREE("tc_delete_nothrow"),
	FREE("tc_deletearray_nothrow"),
	FREE("tc_delete_aligned"),
	FREE("tc_deletearray_aligned"),
	FREE("tc_delete_sized_aligned"),
	FREE("tc_deletearray_sized_aligned"),
	FREE("tc_delete_aligned_nothrow"),
	FREE("tc_deletearray_aligned_nothrow"),
	{.symbol = NULL},
};

extern const struct allocator allocator_gperftools;
const struct allocator allocator_gperftools = {
	.name = "gperftools",
	.file_prefixes = files,
	.fingerprint = fingerprint,
	.entry_points = entry_points,
	.releasers = releasers,
	.purge_call = "MallocExtension_ReleaseFreeMemory()",
	.rows = rows,
};
