#include "probe/allocator.h"

extern const struct allocator allocator_glibc, allocator_mimalloc, allocator_jemalloc, allocator_gperftools,
	allocator_musl;

const struct allocator *const allocators[] = {
	&allocator_glibc,      &allocator_mimalloc, &allocator_jemalloc,
	&allocator_gperftools, &allocator_musl,     NULL,
};
