/* musl's oldmalloc and mallocng: ld-musl-ARCH.so.1, which is also libc.so. It has no purge. */
#include "probe/rows.h"

static const char *const files[] = {"ld-musl-", "libc.musl-", NULL};
/* src/stdio/ext2.c, which glibc has no like of; mallocng's meta allocator in a static program's symbols. */
static const char *const fingerprint[] = {"__freadahead", "__malloc_alloc_meta", NULL};
static const char *const entry_points[] = {"malloc",   "calloc",         "realloc",       "free",
					   "memalign", "posix_memalign", "aligned_alloc", NULL};

static const char *const releasers[] = {"free",        "__libc_free",     "realloc", "__libc_realloc",
					"unmap_chunk", "nontrivial_free", NULL};

static const struct probe_row rows[] = {C_ROWS, {.symbol = NULL}};

extern const struct allocator allocator_musl;
const struct allocator allocator_musl = {
	.name = "musl",
	.file_prefixes = files,
	.fingerprint = fingerprint,
	.entry_points = entry_points,
	.releasers = releasers,
	.purge_call = NULL,
	.rows = rows,
	.maps_blocks = true,
};
