/*
 * Python's objects of up to 512 bytes, in a ledger of their own: malloc never sees them, and beside its blocks
 * they would be counted twice, as their arenas and as themselves.
 */
#ifndef ALLOCTRACE_COMMAND_SMALL_OBJECTS_H
#define ALLOCTRACE_COMMAND_SMALL_OBJECTS_H

#include <stdbool.h>
#include <stdint.h>

#include "heap/state.h"
#include "picture/snapshot.h"
#include "probe/tracer.h"
#include "stack/stacks.h"
#include "target/process.h"

struct small_objects_options {
	bool wanted;
	bool paced;            /* as object_options, both */
	uint64_t sample_bytes;
	uint64_t max_memory;   /* bytes for live ones */
	uint64_t top;
};

struct small_objects;

/* NULL: no memory. The pointers must outlive it. */
struct small_objects *small_objects_new(const struct small_objects_options *options, const struct process *process,
			    struct tracer *tracer, const struct stacks *stacks);
void small_objects_free(struct small_objects *objects); /* NULL-safe */

/* An event of a function of the layer. */
void small_objects_event(struct small_objects *objects, const struct event *ev, const struct allocator *layer);
/* A cell of theirs has begun or ended. */
void small_objects_cell(struct small_objects *objects, const struct event_cell *cell);
/* The heap has been read. */
void small_objects_walked(struct small_objects *objects, const struct heap_state *heap);
void small_objects_exec(struct small_objects *objects);

/* Whether they are looked at, or have been. */
bool small_objects_are_there(const struct small_objects *objects);
/* Valid until the next call. NULL: no memory. heap: the state that the report shows. */
const struct objects_view *small_objects_view(struct small_objects *objects, const struct heap_state *heap);

#endif
