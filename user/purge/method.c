#include "purge/method.h"

#include <string.h>

#include "base/units.h"

static const struct purge_method methods[] = {
	{.allocator = "glibc", .symbol = "malloc_trim"},
	/* force; 2.0.9 to 3.4: include/mimalloc.h */
	{.allocator = "mimalloc", .symbol = "mi_collect", .arguments = {1}, .main_thread = true},
	/* MALLCTL_ARENAS_ALL of jemalloc 5: no value read, none written */
	{.allocator = "jemalloc", .symbol = "mallctl", .text = "arena.4096.purge"},
	/* src/gperftools/malloc_extension_c.h of 2.10 */
	{.allocator = "gperftools", .symbol = "MallocExtension_ReleaseFreeMemory"},
};

const struct purge_method *purge_method_of(const struct allocator *kind)
{
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (!strcmp(methods[i].allocator, kind->name))
			return &methods[i];
	return NULL;
}

/*
 * Measured for glibc 2.36: 26 ms for 152 MiB, 35 for 269, 180 for 1378, 191 for 1181 in 9 arenas,
 * which is the kernel's work on the pages; 1.7 s with 7.2 million fast chunks to be coalesced.
 */
#define NS_PER_PAGE 600
#define NS_PER_FAST_CHUNK 230
#define NS_PER_FREE_CHUNK 50

uint64_t purge_method_duration(const struct heap_allocator *a)
{
	uint64_t bytes = a->purgeable != UNKNOWN ? a->purgeable : a->resident;

	if (bytes == UNKNOWN)
		return UNKNOWN;
	bytes = bytes / TARGET_PAGE_SIZE * NS_PER_PAGE;
	if (a->walked)
		bytes += a->walk.total.fast.cnt * NS_PER_FAST_CHUNK +
			 a->walk.total.bins.cnt * NS_PER_FREE_CHUNK;
	return bytes;
}
