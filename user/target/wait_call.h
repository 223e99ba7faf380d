/*
 * What a thread waits for in the kernel, and whether a stop disturbs it. Read from outside
 * (/proc/PID/task/TID/syscall: PTRACE_MODE_ATTACH), without a stop.
 *
 * A stop interrupts a blocked system call as a signal does. Most are begun anew by the kernel
 * without the program's knowing, some return EINTR or less than they were asked for. The table
 * of those that are begun anew, with what must hold for it, is in wait_call.c. x86-64: numbers.
 */
#ifndef ALLOCTRACE_TARGET_WAIT_CALL_H
#define ALLOCTRACE_TARGET_WAIT_CALL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "target/maps.h"

struct wait_call {
	long number; /* of the system call; WAIT_RUNS: in none, or not blocked */
	uint64_t arguments[6];
	uint64_t sp, pc; /* of the user's code, behind its system call instruction */
};

#define WAIT_RUNS (-1)

/* 0, −ESRCH, or −EACCES. */
int wait_call_read(pid_t pid, pid_t tid, struct wait_call *call);
bool wait_call_same(const struct wait_call *a, const struct wait_call *b);
#define WAIT_NAME_MAX 32
/* "futex", "epoll_wait", or "system call 17"; returns a static text, or buf. */
const char *wait_call_name(long number, char buf[WAIT_NAME_MAX]);
/*
 * NULL: the thread can be stopped there, and its system call is begun anew as if nothing had
 * been. Else why not: "…, which a stop would end with EINTR" (static). pidfd −1: sockets are
 * not looked at, and so not accepted. maps: the process's, not older than the call.
 */
const char *wait_call_refused(pid_t pid, int pidfd, const struct maps *maps, const struct wait_call *call);
/*
 * Whether a call that a stop ended with EINTR can be begun anew as it was: it waits only, and
 * has not done anything yet. For a thread that went on into one between a look and the stop.
 */
bool wait_call_repeatable(long number);

#endif
