/*
 * Code that a thread must not be in, anywhere on its stack, when a purge is called on it: the
 * allocator itself and whoever calls the allocator with locks taken (the loader, fork and exit,
 * a signal handler). Where else a thread stands, its program could have called malloc itself.
 *
 * In a library of its own an allocator is all of its code. In the C library, or where it is
 * linked into a program, functions are told by name; glibc's malloc, whose inner functions have
 * no names there, by lying between those of malloc/malloc.c that have one and their neighbours
 * of other files (a file's functions are linked together).
 */
#ifndef ALLOCTRACE_PURGE_GROUND_H
#define ALLOCTRACE_PURGE_GROUND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "heap/serving.h"
#include "target/maps.h"
#include "target/objects.h"

struct ground;

/* Of a process with these mappings, and the allocators in it. NULL: no memory. */
struct ground *ground_new(const struct maps *maps, struct objects *objects, const struct serving *found,
			  size_t found_cnt);
void ground_free(struct ground *ground); /* NULL-safe */

/* NULL if a thread may be called on with addr in its stack (exact: it stands there; else its callee returns to it);
 * else where it is: "in malloc" (static). */
const char *ground_forbids(const struct ground *ground, uint64_t addr, bool exact);
/* Of a word on a stack that may be a return address or not. */
const char *ground_forbids_word(const struct ground *ground, uint64_t word);

#endif
