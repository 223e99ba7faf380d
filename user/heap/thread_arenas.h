/*
 * Which arena each thread of a process allocates from. glibc keeps it in a thread-local variable
 * (thread_arena, malloc/arena.c) that has no symbol: it is the place in the static TLS, the same for
 * all threads, where the address of an arena stands in some and in the others such an address or none.
 */
#ifndef ALLOCTRACE_HEAP_THREAD_ARENAS_H
#define ALLOCTRACE_HEAP_THREAD_ARENAS_H

#include <stdint.h>

#include "heap/walk.h"
#include "target/memory.h"
#include "target/threads.h"

/*
 * Fills arenas[threads->cnt] with addresses of walk's arenas; 0: not known, or the thread has none yet.
 * Threads need their pointers (threads_find_pointers). Returns how many are known.
 */
size_t thread_arenas_find(const struct heap_walk *walk, const struct threads *threads, struct memory *mem,
			  uint64_t *arenas);

#endif
