/*
 * Reads heap states in a thread of its own, so that the consumer of events never waits for
 * a walk. The budget holds: after a reading that cost c, the next one comes no sooner than
 * c / budget later; under memory pressure four times as late, since a walk marks the pages
 * it reads as referenced.
 */
#ifndef ALLOCTRACE_HEAP_SAMPLER_H
#define ALLOCTRACE_HEAP_SAMPLER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "heap/state.h"

struct sampler_options {
	double budget;        /* share of one core, 0 < budget ≤ 1 */
	uint64_t interval_ns; /* no more often than this, however cheap a reading is */
	bool want_pages;      /* walks bring heap/pages.h */
	const struct allocator *const *more; /* beside the known ones (allocator_nth) */
};

/* One reading: the heap and, at the same moment, what the kernel says. */
struct sample {
	uint64_t began_ns;          /* CLOCK_MONOTONIC: what happened before is in it */
	struct heap_state heap;     /* owned by whoever holds the sample */
	struct process_usage usage; /* lazy_free: looked for at the start and where it is expected, else 0 */
	int status;                 /* 0, or why there is no heap state: −errno */
	struct error error;
};

struct sampler;

/* Starts the thread; p must outlive the sampler. −EACCES, −ESRCH, −ENOMEM. */
int sampler_start(const struct process *p, const struct sampler_options *options, struct sampler **sampler,
		  struct error *err);
/* Ends the thread, waiting for a reading under way; NULL-safe. */
void sampler_stop(struct sampler *sampler);

/* Readable (eventfd) when a sample waits. */
int sampler_fd(const struct sampler *sampler);
/* Moves the newest sample into *sample and returns true; older ones not taken are dropped. */
bool sampler_take(struct sampler *sampler, struct sample *sample);
void sample_free(struct sample *sample); /* idempotent */
/* One more reading as soon as the thread is free, whatever the budget says (the last report). */
void sampler_hurry(struct sampler *sampler);
/*
 * One more reading, begun after this call and sooner than the next would be (marks). The budget holds:
 * one such reading may be owed, and the next regular one comes when both are paid; under memory pressure none is.
 */
void sampler_want(struct sampler *sampler);
/* Another share of one core from now on: as in the options. */
void sampler_budget(struct sampler *sampler, double budget);
/* The process has advised MADV_FREE: the next readings look for lazy-free pages. */
void sampler_lazy_free(struct sampler *sampler);
/* The process has exec'd: everything known of its objects and layouts is void. */
void sampler_restart(struct sampler *sampler);

#endif
