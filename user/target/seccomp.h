/*
 * Whether a thread's seccomp filters would let it make a system call, found out by running them
 * here (linux/seccomp.h, linux/filter.h; kernel/seccomp.c, seccomp_check_filter, has the list of
 * instructions that a filter can have). x86-64: the architecture that filters are told.
 */
#ifndef ALLOCTRACE_TARGET_SECCOMP_H
#define ALLOCTRACE_TARGET_SECCOMP_H

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>

#include "target/tracee.h"

struct seccomp_call {
	int number;
	uint64_t arguments[6];
};

/*
 * The thread stands. 0: all calls are let pass; 1: calls[*refused] is not (it would fail, or the
 * process would be killed). −EACCES: not told without CAP_SYS_ADMIN; −EINVAL: the kernel does not
 * tell (CONFIG_CHECKPOINT_RESTORE); −ESRCH, −ENOMEM.
 */
int seccomp_check(const struct tracee *t, const struct seccomp_call *calls, size_t cnt, size_t *refused);

/* What one filter returns (SECCOMP_RET_…); SECCOMP_RET_KILL_PROCESS for a program that makes no sense. */
uint32_t seccomp_run(const struct sock_filter *program, size_t len, const struct seccomp_data *data);

#endif
