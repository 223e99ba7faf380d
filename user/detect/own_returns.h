/*
 * Memory that allocators give back by themselves, outside of any purge: decay, release or trim at
 * a free, background threads. A run of such calls (no longer apart than a second) that returns what
 * would make a purge effective counts as a purge of that allocator.
 */
#ifndef ALLOCTRACE_DETECT_OWN_RETURNS_H
#define ALLOCTRACE_DETECT_OWN_RETURNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../bpf/event.h"
#include "heap/state.h"
#include "probe/allocator.h"

#define OWN_RETURNS_MAX 16

struct own_return { /* of one allocator, since the attach */
	const struct allocator *kind;
	uint64_t bytes;  /* that left RSS */
	uint64_t lazy;   /* address space that the kernel may take when it needs memory (MADV_FREE) */
	uint64_t calls;
	uint64_t purges; /* runs that count as effective purges */
	/* The run that goes on. */
	uint64_t run_bytes, run_ns; /* what it returned since it last counted; when it last did */
	uint64_t promised;          /* purgeable when it began; UNKNOWN */
};

struct own_returns { /* all zero: empty */
	struct own_return v[OWN_RETURNS_MAX];
	size_t cnt;
};

/*
 * A call made by code of that allocator. state: the last one taken before ev (NULL or taken_ns 0:
 * none). True if the run it belongs to counts as an effective purge from now on (once).
 */
bool own_returns_add(struct own_returns *all, const struct event_memory *ev, const struct allocator *kind,
		     const struct heap_state *state);

/*
 * The same of a purge that the allocator has called itself, as mimalloc 3.6 does now and then in a
 * malloc: what it returned (bytes) is no purge of the program's.
 */
bool own_returns_add_purge(struct own_returns *all, const struct event_purge *ev, uint64_t bytes,
			   const struct allocator *kind, const struct heap_state *state);

#endif
