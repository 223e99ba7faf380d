/*
 * One thread of another process under ptrace(2), the others running on. It is seized
 * (PTRACE_SEIZE: that alone changes nothing), asked to stop, looked at, changed and let go.
 *
 * Whoever uses this may be killed at any instruction. The kernel then lets the thread go as it
 * is, so what is written to it must be harmless after each single call. And a signal that the
 * thread was stopped with reaches it then: stops are looked at with WNOWAIT, since taking the
 * status would take the signal too (wait_task_stopped, kernel/exit.c).
 *
 * All calls from one thread: the kernel knows the tracer by it, and lets a thread go that does
 * not stand only at its end. x86-64: registers.
 */
#ifndef ALLOCTRACE_TARGET_TRACEE_H
#define ALLOCTRACE_TARGET_TRACEE_H

#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

enum tracee_stop {
	TRACEE_INTERRUPTED, /* as we asked */
	TRACEE_JOB,         /* the process was stopped by SIGSTOP or its like */
	TRACEE_SIGNAL,      /* on the way to the delivery of tracee.signal */
	TRACEE_SYSCALL,     /* at the entry or the exit of a system call (after TRACEE_TO_SYSCALL) */
};

struct tracee {
	pid_t tid;
	enum tracee_stop stop; /* the last one; valid while it stands */
	int signal;            /* of TRACEE_SIGNAL */
};

/* Once, before that thread is started or by itself: makes SIGCHLD one that can be waited for. */
void tracee_prepare(void);
/* 0; −ESRCH: it has ended; −EPERM: not allowed, somebody else traces it, or it is about to end. */
int tracee_seize(struct tracee *t, pid_t tid);
/* It stops when it next could take a signal: at once, unless it is deep in the kernel. 0 or −ESRCH. */
int tracee_interrupt(struct tracee *t);
/* Until it stops: 0 and t->stop. −ETIMEDOUT at the deadline (CLOCK_MONOTONIC, 0: none); −ESRCH: it has ended. */
int tracee_wait(struct tracee *t, uint64_t deadline_ns);

enum tracee_run {
	TRACEE_RUN,
	TRACEE_TO_SYSCALL, /* to the next entry or exit of a system call */
};
/* Lets a standing thread run on; signal: what it is to take, 0 for none. 0 or −ESRCH. */
int tracee_resume(struct tracee *t, enum tracee_run run, int signal);
/* The same for good. */
void tracee_release(struct tracee *t, int signal);

/* Of a standing thread; 0 or −errno (−ESRCH: it has ended, killed as it stood). */
int tracee_registers(const struct tracee *t, struct user_regs_struct *regs);
int tracee_set_registers(const struct tracee *t, const struct user_regs_struct *regs);
int tracee_signal_mask(const struct tracee *t, uint64_t *mask);
int tracee_set_signal_mask(const struct tracee *t, uint64_t mask);
/* The XSAVE area in its standard form (Intel SDM 13.4). Its length, or −errno. */
ssize_t tracee_xstate(const struct tracee *t, void *buf, size_t size);
int tracee_set_xstate(const struct tracee *t, const void *buf, size_t size);

#endif
