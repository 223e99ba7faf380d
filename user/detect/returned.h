/* Where memory came from and went: bytes that left RSS since the attach, by the way they took. */
#ifndef ALLOCTRACE_DETECT_RETURNED_H
#define ALLOCTRACE_DETECT_RETURNED_H

#include <stdbool.h>
#include <stdint.h>

#include "../bpf/event.h"

struct returned { /* bytes since the attach */
	uint64_t purge;   /* inside purges, whatever the call */
	uint64_t trim;    /* the C library by itself at a free: brk shrinks, arena heaps trimmed */
	uint64_t munmap;  /* other munmap and shrinking mremap */
	uint64_t madvise; /* other madvise */
	uint64_t taken_brk, taken_mmap; /* address space taken (not RSS) */
};

/*
 * from_libc: the caller lies in libc's own text (glibc trims an arena's heap with madvise
 * and munmap from inside free). Purges are added by returned_add_purge.
 */
void returned_add(struct returned *r, const struct event_memory *ev, bool from_libc);
void returned_add_purge(struct returned *r, uint64_t bytes);
/* Of a purge that an allocator called by itself: it advises, mostly. */
void returned_add_own_purge(struct returned *r, uint64_t bytes);

/* Bytes that left RSS by that call, as far as they can be its own. */
uint64_t returned_bytes(const struct event_memory *ev);
/* Whether what is unmapped is a heap of glibc's arenas, not a block that has a mapping of its own. */
bool returned_is_heap(const struct event_memory *ev);

#endif
