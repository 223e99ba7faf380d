#include "target/tracee.h"

#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

#include "base/clock.h"
#include "base/units.h"

#define SYSCALL_STOP (SIGTRAP | 0x80) /* with PTRACE_O_TRACESYSGOOD */

/* The kernel tells us of a stop by SIGCHLD, which is taken by sigtimedwait: blocked, and not ignored. */
void tracee_prepare(void)
{
	sigset_t set;

	signal(SIGCHLD, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

int tracee_seize(struct tracee *t, pid_t tid)
{
	*t = (struct tracee){.tid = tid};
	return ptrace(PTRACE_SEIZE, tid, NULL, (void *)PTRACE_O_TRACESYSGOOD) ? -errno : 0;
}

int tracee_interrupt(struct tracee *t)
{
	return ptrace(PTRACE_INTERRUPT, t->tid, NULL, NULL) ? -errno : 0;
}

/* si_status is what wait(2) has in the upper bytes of its status: the signal, and the event above it. */
static void read_stop(struct tracee *t, int status)
{
	int signal = status & 0xff, event = status >> 8;

	t->signal = 0;
	if (event == PTRACE_EVENT_STOP)
		t->stop = signal == SIGTRAP ? TRACEE_INTERRUPTED : TRACEE_JOB;
	else if (signal == SYSCALL_STOP)
		t->stop = TRACEE_SYSCALL;
	else {
		t->stop = TRACEE_SIGNAL;
		t->signal = signal;
	}
}

/* 1: it stands; 0: it runs; −ESRCH. */
static int look(struct tracee *t)
{
	const int flags = WSTOPPED | WEXITED | WNOHANG | __WALL;
	siginfo_t info = {.si_pid = 0};

	if (waitid(P_PID, (id_t)t->tid, &info, flags | WNOWAIT))
		return -ESRCH;
	if (info.si_pid == 0)
		return 0;
	if (info.si_code == CLD_TRAPPED) {
		read_stop(t, info.si_status);
		return 1;
	}
	waitid(P_PID, (id_t)t->tid, &info, flags); /* its end has no more to say: let it go */
	return -ESRCH;
}

static void await_child(uint64_t deadline_ns)
{
	uint64_t now = clock_monotonic_ns();
	uint64_t left = !deadline_ns ? NSEC_PER_SEC : deadline_ns > now ? deadline_ns - now : 0;
	struct timespec timeout = {.tv_sec = (time_t)(left / NSEC_PER_SEC),
				   .tv_nsec = (long)(left % NSEC_PER_SEC)};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigtimedwait(&set, NULL, &timeout);
}

int tracee_wait(struct tracee *t, uint64_t deadline_ns)
{
	int found;

	while ((found = look(t)) == 0) {
		if (deadline_ns && clock_monotonic_ns() >= deadline_ns)
			return -ETIMEDOUT;
		await_child(deadline_ns);
	}
	return found < 0 ? found : 0;
}

int tracee_resume(struct tracee *t, enum tracee_run run, int signal)
{
	return ptrace(run == TRACEE_RUN ? PTRACE_CONT : PTRACE_SYSCALL, t->tid, NULL, (void *)(long)signal)
		       ? -errno
		       : 0;
}

void tracee_release(struct tracee *t, int signal)
{
	ptrace(PTRACE_DETACH, t->tid, NULL, (void *)(long)signal);
}

int tracee_registers(const struct tracee *t, struct user_regs_struct *regs)
{
	struct iovec io = {regs, sizeof(*regs)};

	return ptrace(PTRACE_GETREGSET, t->tid, (void *)NT_PRSTATUS, &io) ? -errno : 0;
}

int tracee_set_registers(const struct tracee *t, const struct user_regs_struct *regs)
{
	struct iovec io = {(void *)regs, sizeof(*regs)};

	return ptrace(PTRACE_SETREGSET, t->tid, (void *)NT_PRSTATUS, &io) ? -errno : 0;
}

int tracee_signal_mask(const struct tracee *t, uint64_t *mask)
{
	return ptrace(PTRACE_GETSIGMASK, t->tid, (void *)sizeof(*mask), mask) ? -errno : 0;
}

int tracee_set_signal_mask(const struct tracee *t, uint64_t mask)
{
	return ptrace(PTRACE_SETSIGMASK, t->tid, (void *)sizeof(mask), &mask) ? -errno : 0;
}

ssize_t tracee_xstate(const struct tracee *t, void *buf, size_t size)
{
	struct iovec io = {buf, size};

	return ptrace(PTRACE_GETREGSET, t->tid, (void *)NT_X86_XSTATE, &io) ? -errno : (ssize_t)io.iov_len;
}

int tracee_set_xstate(const struct tracee *t, const void *buf, size_t size)
{
	struct iovec io = {(void *)buf, size};

	return ptrace(PTRACE_SETREGSET, t->tid, (void *)NT_X86_XSTATE, &io) ? -errno : 0;
}
