/*
 * Where an allocator passes to its own free what it has been passed before. In glibc's
 * malloc/malloc.c: tcache_thread_shutdown (2.26 to 2.42) frees what the ending thread's cache
 * holds, which the program has freed; tcache_free_init and tcache_double_free_verify (from
 * 2.43 on) begin a free anew. None of them has a dynamic symbol. But malloc.c's calls are direct ones, all
 * others of the library go through the PLT, because free may be interposed; and they are near.
 */
#ifndef ALLOCTRACE_PROBE_OWN_FREE_H
#define ALLOCTRACE_PROBE_OWN_FREE_H

#include <stddef.h>
#include <stdint.h>

#include "target/object.h"

#define OWN_FREE_MAX 16

/*
 * File offsets of the direct calls of and jumps to that function near it, from functions of
 * these names or of none; in a static program, where the program's own calls are direct too,
 * only of these names. Each is known to begin an instruction, from the call frame information on.
 */
size_t own_free_find(struct object *obj, const struct object_symbol *free, uint64_t offsets[OWN_FREE_MAX]);

#endif
