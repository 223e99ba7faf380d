#include "purge/attempt.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/uio.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/units.h"
#include "purge/standing.h"
#include "target/remote_call.h"
#include "target/shadow_stack.h"

#define STOP_MAX_NS NSEC_PER_SEC
#define USER_CODE 0x33      /* the selector of 64-bit code, arch/x86/include/asm/segment.h */
#define SYSCALL_INSN 0x050f /* of two bytes; int $0x80 has other numbers */
#define ERESTARTNOHAND 514  /* include/linux/errno.h */
#define PREPARED_MAX (64 * KIB)

int attempt_refuse(struct attempt *a, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(a->why, sizeof(a->why), fmt, args);
	va_end(args);
	return -EAGAIN;
}

static long status_number(const char *status, const char *key)
{
	const char *at = strstr(status, key);

	return at ? strtol(at + strlen(key), NULL, 10) : -1;
}

static bool has_signal(const char *status, const char *key, int signal)
{
	const char *at = strstr(status, key);

	return !at || strtoull(at + strlen(key), NULL, 16) >> (signal - 1) & 1;
}

static bool choose_signal(const char *status, struct attempt *a)
{
	static const int candidates[] = {SIGURG, SIGWINCH};

	a->signal = 0;
	for (size_t i = 0; i < sizeof(candidates) / sizeof(candidates[0]); i++) {
		bool blocked = has_signal(status, "\nSigBlk:\t", candidates[i]);

		if (has_signal(status, "\nSigCgt:\t", candidates[i]) ||
		    (a->signal && (blocked || !a->signal_blocked)))
			continue;
		a->signal = candidates[i];
		a->signal_blocked = blocked;
	}
	return a->signal;
}

bool attempt_check_status(const struct purge_plan *plan, struct attempt *a)
{
	char path[64], status[4096];

	snprintf(path, sizeof(path), "/proc/%d/task/%d", plan->process->pid, a->tid);
	if (file_read_in(path, "status", status, sizeof(status)) <= 0)
		return attempt_refuse(a, "has ended"), false;
	if (status_number(status, "\nSeccomp:") == SECCOMP_MODE_STRICT)
		return attempt_refuse(
			       a, "is in seccomp's strict mode: a purge's first system call would kill it"),
		       false;
	if (status_number(status, "\nTracerPid:") > 0)
		return attempt_refuse(a, "is traced by process %ld", status_number(status, "\nTracerPid:")),
		       false;
	/* The frames that we prepare are not on it. */
	if (shadow_stack_in(status))
		return attempt_refuse(a, "has a shadow stack (CET), which a prepared frame does not pass"),
		       false;
	if (!choose_signal(status, a))
		return attempt_refuse(a, "catches both SIGURG and SIGWINCH: no signal is left to tell the "
					 "call's end by"),
		       false;
	return true;
}

bool attempt_looks_good(const struct purge_plan *plan, struct attempt *a)
{
	const char *refused;
	char name[WAIT_NAME_MAX];
	int err;

	a->why[0] = '\0';
	err = wait_call_read(plan->process->pid, a->tid, &a->call);
	if (err)
		return attempt_refuse(a, err == -ESRCH ? "has ended" : "may not be looked at"), false;
	if (a->call.number == WAIT_RUNS)
		return attempt_refuse(a, "runs, and could be anywhere when it stops"), false;
	refused = wait_call_refused(plan->process->pid, plan->process->pidfd, &plan->maps, &a->call);
	if (refused)
		return attempt_refuse(a, "waits in %s, %s", wait_call_name(a->call.number, name), refused),
		       false;
	return attempt_check_status(plan, a);
}

/* What the thread's stack may lead to is read in beforehand: words that point into code. */
static void prepare(const struct purge_plan *plan, const struct attempt *a)
{
	const struct mapping *m = maps_find(&plan->maps, a->call.sp), *code, *last = NULL;
	uint64_t words[PREPARED_MAX / sizeof(uint64_t)];
	struct iovec local = {words, sizeof(words)}, remote = {(void *)a->call.sp, sizeof(words)};
	ssize_t got;

	if (!m)
		return;
	if (m->end - a->call.sp < remote.iov_len)
		remote.iov_len = m->end - a->call.sp;
	backtrace_prepare(plan->backtrace, a->call.pc);
	got = process_vm_readv(plan->process->pid, &local, 1, &remote, 1, 0);
	for (ssize_t i = 0; i < got / (ssize_t)sizeof(words[0]); i++) {
		code = maps_find(&plan->maps, words[i]);
		if (!code || !code->exec || code == last)
			continue;
		backtrace_prepare(plan->backtrace, words[i] - 1);
		last = code;
	}
}

/* Whether it stands where it was seen, in the system call that is begun anew from there. */
static bool stands_where_seen(const struct purge_plan *plan, const struct attempt *a,
			      const struct user_regs_struct *regs)
{
	uint16_t insn = 0;
	struct iovec local = {&insn, sizeof(insn)},
		     remote = {(void *)(regs->rip - sizeof(insn)), sizeof(insn)};

	return remote_call_restarts(regs) && (long)regs->orig_rax == a->call.number &&
	       regs->rsp == a->call.sp && regs->rip == a->call.pc && regs->cs == USER_CODE &&
	       process_vm_readv(plan->process->pid, &local, 1, &remote, 1, 0) == sizeof(insn) &&
	       insn == SYSCALL_INSN;
}

bool attempt_begin_anew(const struct tracee *t, struct user_regs_struct *regs)
{
	if ((long)regs->rax != -EINTR || !wait_call_repeatable((long)regs->orig_rax))
		return false;
	regs->rax = (unsigned long long)-ERESTARTNOHAND;
	return !tracee_set_registers(t, regs);
}

static int call_waiting(const struct purge_plan *plan, struct attempt *a, struct tracee *t)
{
	struct thread_stack stack;
	struct user_regs_struct regs;
	int err = tracee_registers(t, &regs);

	if (!err && !stands_where_seen(plan, a, &regs)) {
		attempt_begin_anew(t, &regs);
		err = attempt_refuse(a, "went on as it was to be stopped");
	}
	if (!err)
		err = standing_check(plan, a, t, &regs, false, &stack);
	if (!err)
		return standing_call(plan, a, t, &regs, &stack);
	tracee_release(t, 0);
	return err;
}

/* The way from the look, once the thread's id is its own, to the stop is as short as can be. */
static int call_tracing(const struct purge_plan *plan, struct attempt *a, void *unused)
{
	struct wait_call now;
	struct tracee t;
	int err = tracee_seize(&t, a->tid);

	(void)unused;
	if (err == -EPERM)
		return process_alive(plan->process)
			       ? attempt_refuse(a, "may not be traced: it is ending, or somebody else's")
			       : -ESRCH;
	if (err || wait_call_read(plan->process->pid, a->tid, &now))
		return attempt_refuse(a, "has ended");
	if (!wait_call_same(&now, &a->call))
		return attempt_refuse(a, "went on as it was to be stopped");
	a->stopped_ns = clock_monotonic_ns();
	err = tracee_interrupt(&t);
	if (!err)
		err = tracee_wait(&t, a->stopped_ns + STOP_MAX_NS);
	if (err)
		return attempt_refuse(a, err == -ETIMEDOUT ? "does not stop: it is busy in the kernel"
							   : "has ended");
	if (t.stop != TRACEE_INTERRUPTED) {
		tracee_release(&t, t.signal);
		err = attempt_refuse(a, "was to take a signal first");
	} else {
		err = call_waiting(plan, a, &t);
	}
	a->released_ns = clock_monotonic_ns();
	return err;
}

struct tracing {
	int (*run)(const struct purge_plan *plan, struct attempt *a, void *arg);
	const struct purge_plan *plan;
	struct attempt *a;
	void *arg;
	int result;
};

static void *run_tracing(void *arg)
{
	struct tracing *t = arg;

	setpriority(PRIO_PROCESS, 0,
		    -20); /* while a thread stands it waits for us; without the right we are as we are */
	t->result = t->run(t->plan, t->a, t->arg);
	return NULL;
}

int attempt_trace(const struct purge_plan *plan, struct attempt *a,
		  int (*run)(const struct purge_plan *plan, struct attempt *a, void *arg), void *arg)
{
	struct tracing tracing = {run, plan, a, arg, 0};
	pthread_t thread;

	prepare(plan, a);
	tracee_prepare();
	if (pthread_create(&thread, NULL, run_tracing, &tracing))
		return attempt_refuse(a, "cannot be traced: we may not start a thread");
	pthread_join(thread, NULL);
	return tracing.result;
}

int attempt_call(const struct purge_plan *plan, struct attempt *a)
{
	return attempt_trace(plan, a, call_tracing, NULL);
}
