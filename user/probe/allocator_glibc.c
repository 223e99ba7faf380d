/* glibc's ptmalloc2: libc.so.6, or linked into a static program. */
#include "probe/allocator.h"

static const char *const files[] = {"libc.so.6", "libc-2.", NULL};
/* The first is exported by every libc.so.6; a static program shows the second unless it is stripped. */
static const char *const fingerprint[] = {"gnu_get_libc_version", "_int_malloc", NULL};
static const char *const entry_points[] = {
	"malloc", "calloc",  "realloc", "free",         "memalign",      "posix_memalign", "aligned_alloc",
	"valloc", "pvalloc", "cfree",   "reallocarray", "__libc_malloc", "__libc_free",    NULL,
};

static const struct probe_row rows[] = {
	{.symbol = "malloc_trim", .shape = PROBE_PURGE, .required = true, .has_result = true},
	{.symbol = NULL},
};

extern const struct allocator allocator_glibc;
const struct allocator allocator_glibc = {
	.name = "glibc",
	.file_prefixes = files,
	.fingerprint = fingerprint,
	.entry_points = entry_points,
	.purge_call = "malloc_trim(0)",
	.rows = rows,
};
