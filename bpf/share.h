/*
 * What the loader (user/probe) and the BPF programs agree on beside the records: sizes,
 * the attach cookie, the traced map. Nobody else includes it.
 */
#ifndef ALLOCTRACE_SHARE_H
#define ALLOCTRACE_SHARE_H

#define RING_SIZE  (2 << 20)
#define RING_WAKE  (RING_SIZE / 8) /* bytes that wait before the reader is woken */
#define TRACED_MAX 4096
#define CPUS_MAX   1024
#define CALLS_MAX  8192 /* threads in a purge or memory call at once */

/* Attach cookie: function index in the low half, shape and flags above. */
#define COOKIE_SHAPE_SHIFT 32
#define COOKIE_HAS_RESULT  (1ULL << 40)

enum call_shape { /* as enum probe_shape of user/probe/allocator.h orders them */
	SHAPE_PURGE,
	SHAPE_DLOPEN,
	SHAPE_DLMOPEN,
	SHAPE_DLCLOSE,
	SHAPE_LOADED,
	SHAPE_MMAP,
	SHAPE_MUNMAP,
	SHAPE_MREMAP,
	SHAPE_MADVISE,
	SHAPE_BRK,
	SHAPE_CNT
};

struct traced {
	__u32 sees_loads; /* _dl_debug_state is probed: a dlopen without one mapped nothing */
	__u32 pad;
};

#endif
