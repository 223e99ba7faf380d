/* glibc's ptmalloc2: libc.so.6, or linked into a static program. */
#include "probe/rows.h"
#include "target/object.h"

static const char *const files[] = {"libc.so.6", "libc-2.", NULL};
/* The first is exported by every libc.so.6; a static program shows the second unless it is stripped. */
static const char *const fingerprint[] = {"gnu_get_libc_version", "_int_malloc", NULL};
static const char *const entry_points[] = {
	"malloc", "calloc",  "realloc", "free",         "memalign",      "posix_memalign", "aligned_alloc",
	"valloc", "pvalloc", "cfree",   "reallocarray", "__libc_malloc", "__libc_free",    NULL,
};

/*
 * malloc/malloc.c, all versions: a block is preceded by its chunk's size with three flags; all
 * but 8 bytes of the chunk are the program's, of a mmapped one all but 16.
 */
static uint64_t usable(uint64_t header)
{
	uint64_t size = header & ~7ULL, own = header & 2 ? 16 : 8;

	return size >= 32 && size < 1ULL << 47 ? size - own : 0;
}

/* request2size; a mmapped block (trim_threshold and above, in general) takes up to a page more. */
static uint64_t rounded(uint64_t size)
{
	return size + 8 < 32 ? 32 : (size + 8 + 15) & ~15ULL;
}

static const struct probe_row rows[] = {
	C_ROWS,
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
	.version = object_glibc_version,
	.usable = usable,
	.rounded = rounded,
	.frees_twice = true,
};
