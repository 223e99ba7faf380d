/*
 * Rows of allocation functions, shortly: allocator_*.c. Arguments are numbered from 1.
 */
#ifndef ALLOCTRACE_PROBE_ROWS_H
#define ALLOCTRACE_PROBE_ROWS_H

#include "probe/allocator.h"

#define ALLOC(name, ...)   {.symbol = (name), .shape = PROBE_ALLOC, __VA_ARGS__}
#define OUT(name, ...)     {.symbol = (name), .shape = PROBE_ALLOC_OUT, __VA_ARGS__}
#define REALLOC(name, ...) {.symbol = (name), .shape = PROBE_REALLOC, __VA_ARGS__}
#define FREE(name)         {.symbol = (name), .shape = PROBE_FREE, .ptr = 1}
/* operator new and its kin call the new-handler when memory is short, and that may throw. */
#define NEW(name, ...)     {.symbol = (name), .shape = PROBE_ALLOC, .throws = true, __VA_ARGS__}

/* The C library's, where realloc(p, 0) frees and returns NULL, or returns a block. */
#define C_ROWS                                                                                               \
	ALLOC("malloc", .size = 1, .required = true), ALLOC("calloc", .count = 1, .size = 2),                \
		REALLOC("realloc", .ptr = 1, .size = 2, .on_null = REALLOC_FREES_ZERO), FREE("free"),        \
		FREE("free_sized"), FREE("free_aligned_sized"), /* C23 */                                    \
		REALLOC("reallocarray", .ptr = 1, .count = 2, .size = 3, .on_null = REALLOC_FREES_ZERO),     \
		OUT("posix_memalign", .ptr = 1, .size = 3), ALLOC("aligned_alloc", .size = 2),               \
		ALLOC("memalign", .size = 2), ALLOC("valloc", .size = 1), ALLOC("pvalloc", .size = 1)

/* operator new, new[], delete, delete[]: plain, nothrow, aligned, sized. */
#define CPP_ROWS                                                                                             \
	NEW("_Znwm", .size = 1), NEW("_Znam", .size = 1), NEW("_ZnwmRKSt9nothrow_t", .size = 1),             \
		NEW("_ZnamRKSt9nothrow_t", .size = 1), NEW("_ZnwmSt11align_val_t", .size = 1),               \
		NEW("_ZnamSt11align_val_t", .size = 1), NEW("_ZnwmSt11align_val_tRKSt9nothrow_t", .size = 1), \
		NEW("_ZnamSt11align_val_tRKSt9nothrow_t", .size = 1), FREE("_ZdlPv"), FREE("_ZdaPv"),        \
		FREE("_ZdlPvm"), FREE("_ZdaPvm"), FREE("_ZdlPvRKSt9nothrow_t"), FREE("_ZdaPvRKSt9nothrow_t"), \
		FREE("_ZdlPvSt11align_val_t"), FREE("_ZdaPvSt11align_val_t"), FREE("_ZdlPvmSt11align_val_t"), \
		FREE("_ZdaPvmSt11align_val_t"), FREE("_ZdlPvSt11align_val_tRKSt9nothrow_t"),                 \
		FREE("_ZdaPvSt11align_val_tRKSt9nothrow_t")

#endif
