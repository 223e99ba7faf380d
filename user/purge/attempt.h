/*
 * The call on one thread: whether it may be made there, first from outside, then, once more and
 * with its stack, while the thread stands. A thread that may not is let go as it was.
 *
 * It comes back from the call, and from the stop, without a trace: the system call is one that the
 * kernel begins anew (target/wait_call.h), and nothing of its own is lost (target/remote_call.h).
 * Where else it may not be, standing.h says.
 */
#ifndef ALLOCTRACE_PURGE_ATTEMPT_H
#define ALLOCTRACE_PURGE_ATTEMPT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "purge/plan.h"
#include "target/tracee.h"
#include "target/wait_call.h"

#define ATTEMPT_WHY_MAX 192

struct attempt {
	pid_t tid;
	struct wait_call call; /* where it was seen */
	enum attempt_place {
		ATTEMPT_WAITING,   /* met in that call */
		ATTEMPT_RETURNING, /* as it came back from it by itself */
		ATTEMPT_ALLOCATING, /* as it was to call the allocator */
	} place;
	/*
	 * Tells the tracer of the call's end, and nobody else anything: one that is ignored unless it is
	 * caught, and is not (signal(7)). Better not one that the thread blocks, who may wait for it.
	 */
	int signal;
	bool signal_blocked;
	char why[ATTEMPT_WHY_MAX]; /* "", or why not: "waits in epoll_wait, which a stop would end with EINTR" */
	bool closely;              /* why: what was seen as it stood, and may hold where it stands */
	uint64_t stopped_ns, released_ns; /* CLOCK_MONOTONIC: it was away from its program */
	uint64_t entered_ns, returned_ns; /* the call */
};

/* From outside, without a stop: true if it may be tried; else a->why. Fills a->call. */
bool attempt_looks_good(const struct purge_plan *plan, struct attempt *a);

/*
 * Stops the thread where attempt_looks_good saw it, and calls. 0: done. −EAGAIN: not here, or not
 * now (a->why), and the thread is as it was. −ESRCH: the process ended in it.
 */
int attempt_call(const struct purge_plan *plan, struct attempt *a);

/* For those who meet threads in other ways (catch.h). */

/* What its status file tells of the thread, wherever it is: true and a->signal, or a->why. */
bool attempt_check_status(const struct purge_plan *plan, struct attempt *a);
/* Fills a->why and returns −EAGAIN. */
int attempt_refuse(struct attempt *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/*
 * Runs run in a thread that becomes the tracer, and returns its result. A thread that has been
 * seized and must not be stopped can be let go in one way only: by the end of its tracer.
 */
int attempt_trace(const struct purge_plan *plan, struct attempt *a,
		  int (*run)(const struct purge_plan *plan, struct attempt *a, void *arg), void *arg);
/*
 * A thread stands in a call that ends with EINTR at a stop, since it went on into it just before.
 * It is made to be begun anew, as the kernel does with others; false: it is in no such call.
 */
bool attempt_begin_anew(const struct tracee *t, struct user_regs_struct *regs);

#endif
