/* How much of a range of a target's address space occupies RAM, from its page tables. */
#ifndef ALLOCTRACE_HEAP_RESIDENCY_H
#define ALLOCTRACE_HEAP_RESIDENCY_H

#include <stdint.h>

#include "target/maps.h"
#include "target/memory.h"

struct residency { /* bytes */
	uint64_t held;     /* address space */
	uint64_t resident; /* in RAM and counted in RSS */
	uint64_t swapped;
};

/* Adds [start, end) to *r. 0 or −errno. */
int residency_add(struct memory *mem, uint64_t start, uint64_t end, struct residency *r);
/*
 * Adds every private anonymous writable mapping that can be an allocator's: stacks are left
 * out (the main one by name, threads' by the guard mapping right below them).
 */
int residency_add_anonymous(struct memory *mem, const struct maps *maps, struct residency *r);

#endif
