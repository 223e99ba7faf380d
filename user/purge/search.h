/*
 * The search for a thread that a purge may be called on, until one is found and has been called
 * or time is up. Threads are looked at from outside, again and again; only one that looks good,
 * and did so at the look before, is stopped for a moment to be looked at closely. Where none
 * looks good, one is waited for at its next step (catch.h), if we may.
 */
#ifndef ALLOCTRACE_PURGE_SEARCH_H
#define ALLOCTRACE_PURGE_SEARCH_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/log.h"
#include "purge/attempt.h"
#include "purge/plan.h"
#include "target/process.h"

/* A thread as it was met last. */
struct search_thread {
	pid_t tid;
	char name[32];
	bool good;                 /* it could be tried */
	char why[ATTEMPT_WHY_MAX]; /* why not, by the last look; by a closer one, if there was one */
	bool closely;
	struct attempt seen;       /* by the last look */
	unsigned looks;            /* in a row that saw it in that call */
	unsigned refusals;         /* by closer looks */
	uint64_t again_ns;         /* not to be stopped again before that time */
};

struct search {
	struct search_thread *threads; /* by tid, ascending */
	size_t thread_cnt;
	unsigned stops;              /* threads that were stopped and let go without a call */
	bool cannot_catch;           /* threads were not waited for, since we may not */
	struct attempt done;         /* the call, if it was made */
	char done_name[32];          /* of its thread */
	struct process_usage before; /* of memory, shortly before */
};

/* One look at all threads, without a stop (a dry run). 0, −ESRCH, −ENOMEM. The caller frees with search_free. */
int search_look(const struct purge_plan *plan, struct search *search, struct error *err);
/*
 * 0: called and returned. −EAGAIN: no thread within timeout_ns, nothing was changed. −ESRCH: the
 * process has ended, −ENOMEM. The caller frees with search_free in any case.
 */
int search_call(const struct purge_plan *plan, const struct log *log, uint64_t timeout_ns, struct search *search,
		struct error *err);
void search_free(struct search *search); /* idempotent */

#endif
