/*
 * A function of another process, called on one thread of it that stands (target/tracee.h), while
 * the others run. The thread gets back what it was by frames on its own stack
 * (target/signal_frame.h), whether we live or not: every state in between is one that it may be
 * left in. One thing differs if we die during the call: a signal that comes meanwhile is held
 * back until its end, and we then let the kernel finish the interrupted system call in its own
 * way, which is EINTR where a handler without SA_RESTART is to run. Without us the handler runs
 * too, and the system call begins anew, as if the signal had come just before it.
 *
 * All signals are blocked during the call: a handler that jumps out of it would leave locks taken.
 * x86-64.
 */
#ifndef ALLOCTRACE_TARGET_REMOTE_CALL_H
#define ALLOCTRACE_TARGET_REMOTE_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "target/tracee.h"

struct remote_call {
	uint64_t function;
	uint64_t arguments[5];
	const char *text;   /* NULL, or the first argument: up to 63 bytes */
	uint64_t sigreturn; /* of the target's own code that executes rt_sigreturn */
	uint64_t errno_at;  /* the thread's; 0: not known, then it is left as the function leaves it */
	uint64_t swab;      /* swab(3) in the target, which puts errno back; 0: not known, then we do, if we live */
	uint64_t stack_low; /* of the thread's stack: the function needs room above it */
	/*
	 * Sent to the thread, blocked, to be told when the call is over. The process must neither
	 * catch it nor end by it: it then is discarded if we are not there to take it.
	 */
	int signal;
};

struct remote_times { /* CLOCK_MONOTONIC ns */
	uint64_t entered, returned;
};

/*
 * Whether the thread, standing with these registers, was in a system call that the kernel begins
 * anew by itself (ERESTARTSYS and its like, without a restart block).
 */
bool remote_call_restarts(const struct user_regs_struct *stands);

/*
 * t stands, interrupted, with these registers: in user code or in such a system call. It is
 * released in any case. 0; −EAGAIN: a signal came first and has been passed on, nothing was
 * called; −ENOSPC: too little stack is left; −ENOTSUP, −E2BIG: its FPU state cannot be kept;
 * −ESRCH: the thread or its process ended, perhaps in the call; other −errno of access to its
 * memory, nothing was called.
 */
int remote_call(struct tracee *t, pid_t pid, const struct user_regs_struct *stands,
		const struct remote_call *call, struct remote_times *times);

#endif
