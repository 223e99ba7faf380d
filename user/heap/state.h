/*
 * Heap state: the allocators of one process at one moment, from the last walk and from page
 * tables. Which allocator serves the process is found out (call slots of the loaded objects,
 * started heaps), never assumed.
 */
#ifndef ALLOCTRACE_HEAP_STATE_H
#define ALLOCTRACE_HEAP_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "heap/walk.h"
#include "probe/allocator.h"
#include "target/memory.h"
#include "target/process.h"

#define UNKNOWN UINT64_MAX /* a figure that nobody knows: null in JSON, "–" in text */

struct heap_allocator {
	const struct allocator *kind;
	char version[24];   /* "" if unknown */
	bool serving;       /* malloc and its kin reach it; never a layer (probe/allocator.h) */
	bool walked;        /* walk is valid */
	struct heap_walk walk;
	/* As the walk says; without one held and resident from page tables, the rest UNKNOWN. */
	uint64_t held, resident, live_heap, retained, purgeable, pinned;
	struct heap_ranges ranges; /* cnt 0 without a walk */
};

/* Whether it is a layer above the serving allocator (probe/allocator.h), and in use. */
static inline bool heap_is_layer(const struct heap_allocator *a)
{
	return a->kind->layer && a->live_heap != UNKNOWN;
}

/* Whether heaps of that kind can be walked. */
bool heap_walks(const struct allocator *kind);

struct heap_state {
	uint64_t taken_ns;  /* CLOCK_MONOTONIC, when the reading ended; 0: never taken */
	uint64_t cost_ns;   /* CPU time it took */
	struct heap_allocator *allocators; /* serving ones first, then layers in use */
	size_t allocator_cnt;
	char note[160];     /* "", or why a walk failed, in words */
	/* Sums over the allocators; UNKNOWN if unknown for one that serves. */
	uint64_t held, resident, live_heap, retained, purgeable, pinned;
};

/* Reads states of one process; keeps what does not change between two (ELF objects, layouts). One thread at a time. */
struct heap_reader;

/* p and mem must outlive the reader; want_pages: walks bring heap/pages.h. NULL: no memory. */
struct heap_reader *heap_reader_new(const struct process *p, struct memory *mem, bool want_pages);
/* Allocators to know beside the known ones (allocator_nth); they must outlive the reader. Before the first reading. */
void heap_reader_know(struct heap_reader *reader, const struct allocator *const *more);
void heap_reader_free(struct heap_reader *reader); /* NULL-safe */

/*
 * The caller owns *state (heap_state_free). Allocators that are absent are not listed. A walk
 * that fails leaves its allocator with walked = false and state->note; −ESRCH, −EACCES if the
 * process itself cannot be read.
 */
int heap_state_read(struct heap_reader *reader, struct heap_state *state, struct error *err);
void heap_state_free(struct heap_state *state); /* idempotent; zeroes */
/* Bytes live in blocks that the probes of malloc can see: without those of layers. UNKNOWN. */
static inline uint64_t heap_probed_live(const struct heap_state *state)
{
	uint64_t live = state->live_heap;

	for (size_t i = 0; i < state->allocator_cnt && live != UNKNOWN; i++)
		if (heap_is_layer(&state->allocators[i]))
			live -= state->allocators[i].live_heap;
	return live;
}
/* The allocator of that kind, or NULL (state may be NULL). */
const struct heap_allocator *heap_state_find(const struct heap_state *state, const struct allocator *kind);

#endif
