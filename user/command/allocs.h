/*
 * The allocation side of a session: events go into the ledger, walks into surveys, what
 * outputs show of it comes out.
 */
#ifndef ALLOCTRACE_COMMAND_ALLOCS_H
#define ALLOCTRACE_COMMAND_ALLOCS_H

#include <stdbool.h>
#include <stdint.h>

#include "command/small_objects.h"
#include "detect/window.h"
#include "heap/sampler.h"
#include "probe/tracer.h"
#include "picture/snapshot.h"
#include "stack/stacks.h"
#include "target/process.h"

struct allocs_options {
	uint64_t max_memory;         /* bytes for live blocks */
	uint64_t size_min, size_max; /* as the tracer's */
	uint64_t sample_bytes, free_sample_bytes; /* as the tracer's */
	struct small_objects_options objects;
	uint64_t older_ns;
	uint64_t top;
	double max_share;    /* of the target's CPU time that probes may take; 0: no limit */
	double survey_share; /* of one core that surveys may take */
};

struct allocs;

/* NULL: no memory. The pointers must outlive it. */
struct allocs *allocs_new(const struct allocs_options *options, const struct process *process,
			  struct tracer *tracer, const struct stacks *stacks);
void allocs_free(struct allocs *allocs); /* NULL-safe */

/* Another max_memory from now on. */
void allocs_limit(struct allocs *allocs, uint64_t max_memory);
void allocs_event(struct allocs *allocs, const struct event *ev);
void allocs_cell(struct allocs *allocs, const struct event_cell *cell);
void allocs_exec(struct allocs *allocs);
/* A new reading: begins a survey if the last one is long enough ago, or at once if it is urgent. */
void allocs_sample(struct allocs *allocs, struct sample *sample, bool urgent);
/* Goes on with the survey for some milliseconds; true: there is more to do. */
bool allocs_work(struct allocs *allocs);
bool allocs_is_busy(const struct allocs *allocs);
/* Several times a second. */
void allocs_tick(struct allocs *allocs);

/* The sites that freed most since the window opened that d has open now, set in d. Before and after each
 * sample. */
void allocs_before_sample(struct allocs *allocs, struct window_detector *d);
void allocs_after_sample(struct allocs *allocs, struct window_detector *d);

/* Bytes in live blocks now. */
uint64_t allocs_live(const struct allocs *allocs);
/* The stack of a site, by its number; NULL: not known. */
const struct stack *allocs_stack(const struct allocs *allocs, uint32_t site);

/* Valid until the next call. NULL: no memory. heap: the state that the report shows. */
const struct allocation_view *allocs_view(struct allocs *allocs, const struct heap_state *heap);

#endif
