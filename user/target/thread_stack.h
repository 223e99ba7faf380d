/*
 * Where a thread's stack lies: what it may still use below its stack pointer, and how far up its
 * frames can reach. The C library knows (struct pthread, which the thread's FS base points at);
 * its fields are found by what they must say, not by version: glibc's stackblock,
 * stackblock_size and guardsize, one behind the other in all versions from 2.17 to 2.43 at least
 * (nptl/descr.h). A stack that the program made for itself (a coroutine's) has no such words:
 * what lies below it is not known to be free. x86-64.
 */
#ifndef ALLOCTRACE_TARGET_THREAD_STACK_H
#define ALLOCTRACE_TARGET_THREAD_STACK_H

#include <stdint.h>
#include <sys/types.h>

#include "target/maps.h"

struct thread_stack {
	uint64_t low, high; /* [low, high), bytes; low as far as it may grow */
};

/* −ENOENT: sp is on no stack that the system or the C library gave the thread. */
int thread_stack_find(pid_t pid, const struct maps *maps, uint64_t sp, uint64_t fs_base, struct thread_stack *stack);

#endif
