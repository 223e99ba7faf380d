/*
 * How each allocator is asked to return its free memory: a function of its own, and what it is
 * given. What a call will take is estimated from a walk.
 */
#ifndef ALLOCTRACE_PURGE_METHOD_H
#define ALLOCTRACE_PURGE_METHOD_H

#include <stdbool.h>
#include <stdint.h>

#include "heap/state.h"
#include "probe/allocator.h"

struct purge_method {
	const char *allocator;
	const char *symbol;     /* behind a prefix of the allocator's */
	uint64_t arguments[5];
	const char *text;       /* NULL, or the first argument */
	bool main_thread;       /* it returns what belongs to the thread that calls it; predictions mean the main one */
};

/* NULL: it has none (musl). */
const struct purge_method *purge_method_of(const struct allocator *kind);

/* About how long the call will take, ns, at the most where the heap was not walked; UNKNOWN. */
uint64_t purge_method_duration(const struct heap_allocator *a);

#endif
