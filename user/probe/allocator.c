#include "probe/allocator.h"

#include "target/object.h"

extern const struct allocator allocator_glibc, allocator_mimalloc, allocator_jemalloc, allocator_gperftools,
	allocator_musl, allocator_pymalloc;

const struct allocator *const allocators[] = {
	&allocator_glibc,
	&allocator_mimalloc,
	&allocator_jemalloc,
	&allocator_gperftools,
	&allocator_musl,
	&allocator_pymalloc,
	NULL,
};

bool allocator_is_in(const struct allocator *kind, struct object *obj)
{
	struct object_symbol sym;

	for (const char *const *name = kind->fingerprint; *name; name++)
		if (!object_find_symbol(obj, *name, &sym))
			return true;
	return false;
}
