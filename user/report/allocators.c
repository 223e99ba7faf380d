/* What both forms of `alloctrace allocators` say. */
#include "report/allocators.h"

struct row_counts allocators_count_rows(const struct allocator *kind)
{
	struct row_counts cnt = {0};

	for (const struct probe_row *row = kind->rows; row && row->symbol; row++) {
		cnt.purges += row->shape <= PROBE_CONTROL_MIB;
		cnt.frees += row->shape == PROBE_FREE;
		cnt.allocs += row->shape >= PROBE_ALLOC && row->shape != PROBE_FREE;
	}
	return cnt;
}

const char *allocators_role(enum probe_shape shape)
{
	static const char *const roles[PROBE_SHAPE_CNT] = {
		[PROBE_PURGE] = "purge",     [PROBE_CONTROL] = "purge", [PROBE_CONTROL_MIB] = "purge",
		[PROBE_DLOPEN] = "load",     [PROBE_DLMOPEN] = "load",  [PROBE_DLCLOSE] = "unload",
		[PROBE_LOADED] = "loaded",   [PROBE_MARK] = "mark",     [PROBE_MMAP] = "memory",
		[PROBE_MUNMAP] = "memory",   [PROBE_MREMAP] = "memory", [PROBE_MADVISE] = "memory",
		[PROBE_BRK] = "memory",      [PROBE_ALLOC] = "alloc",   [PROBE_ALLOC_OUT] = "alloc",
		[PROBE_REALLOC] = "realloc", [PROBE_FREE] = "free",
	};

	return roles[shape];
}

const char *allocators_version(const struct allocators_report *r, const struct allocator *kind)
{
	const struct heap_allocator *a = heap_state_find(r->heap, kind);

	return a ? a->version : "";
}

bool allocators_is_of(const struct outlook_probe *probe, const struct serving *found)
{
	const struct traced_function *fn = probe->function;

	if (!found)
		return !fn->allocator;
	return found->object && fn->allocator == found->kind && fn->dev == found->object->dev &&
	       fn->inode == found->object->inode;
}
