/*
 * The call on one thread: whether it may be made there, first from outside, then, once more and
 * with its stack, while the thread stands. A thread that may not is let go as it was.
 *
 * It may, where its program could have called the allocator itself just before the system call
 * that the thread waits in: no frame of it is in code that ground.h forbids. And it may where
 * it comes back from the call, and from the stop, without a trace: the system call is one that
 * the kernel begins anew (target/wait_call.h), nothing is lost (target/remote_call.h), its
 * seccomp filters let the purge's own system calls pass, and it has stack for it.
 */
#ifndef ALLOCTRACE_PURGE_ATTEMPT_H
#define ALLOCTRACE_PURGE_ATTEMPT_H

#include <stdint.h>
#include <sys/types.h>

#include "purge/plan.h"
#include "target/wait_call.h"

#define ATTEMPT_WHY_MAX 128

struct attempt {
	pid_t tid;
	struct wait_call call; /* where it was met */
	char why[ATTEMPT_WHY_MAX]; /* "", or why not: "waits in epoll_wait, which a stop would end with EINTR" */
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

#endif
