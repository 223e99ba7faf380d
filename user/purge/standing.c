#include "purge/standing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "base/file.h"
#include "base/units.h"
#include "target/remote_call.h"
#include "target/seccomp.h"

#define SCAN_MAX (8 * MIB) /* of a stack that cannot be followed */
#define WINDOW_WORDS 8192

/* A stack while it is looked through. */
struct looking {
	const struct ground *ground;
	bool pass_over;  /* the innermost frame */
	const char *why; /* NULL: nothing is forbidden so far */
};

static bool look_at_frame(const struct backtrace_frame *frame, void *arg)
{
	struct looking *l = arg;

	if (l->pass_over) {
		l->pass_over = false;
		return false;
	}
	l->why =
		frame->signal ? "is in a signal handler" : ground_forbids(l->ground, frame->pc, frame->exact);
	return l->why;
}

/* Where frames cannot be told apart, no word of the stack may be what a forbidden one would leave there. */
static const char *look_at_words(const struct purge_plan *plan, const struct thread_stack *stack, uint64_t sp)
{
	uint64_t *words = malloc(WINDOW_WORDS * sizeof(*words));
	const char *why = NULL;

	if (!words)
		return "has a stack that there is no memory to look at";
	if (stack->high - sp > SCAN_MAX)
		why = "has a stack that cannot be followed and is too large to be looked through";
	for (uint64_t at = sp & ~7ULL; at < stack->high && !why;) {
		struct iovec local = {words, WINDOW_WORDS * sizeof(*words)},
			     remote = {(void *)at, local.iov_len};
		ssize_t got;

		if (stack->high - at < remote.iov_len)
			remote.iov_len = stack->high - at;
		got = process_vm_readv(plan->process->pid, &local, 1, &remote, 1, 0);
		if (got < (ssize_t)sizeof(*words))
			why = "has a stack that cannot be read";
		for (ssize_t i = 0; i < got / (ssize_t)sizeof(*words) && !why; i++)
			why = ground_forbids_word(plan->ground, words[i]);
		at += got > 0 ? (uint64_t)got & ~7ULL : 8;
	}
	free(words);
	return why;
}

static int check_frames(const struct purge_plan *plan, struct attempt *a, const struct user_regs_struct *regs,
			bool at_entry, const struct thread_stack *stack)
{
	struct looking l = {.ground = plan->ground, .pass_over = at_entry};
	enum backtrace_end end = backtrace_each(plan->backtrace, a->tid, regs, look_at_frame, &l);

	if (end == BACKTRACE_CUT && !l.why)
		l.why = look_at_words(plan, stack, regs->rsp);
	return l.why ? attempt_refuse(a, "%s", l.why) : 0;
}

/* What purges do in the kernel, whichever allocator's, and how the thread comes back. */
static int check_filters(const struct tracee *t, struct attempt *a)
{
	static const struct seccomp_call calls[] = {
		{SYS_rt_sigreturn, {0}},
		{SYS_madvise, {4096, 4096, MADV_DONTNEED}},
		{SYS_madvise, {4096, 4096, MADV_FREE}},
		{SYS_munmap, {4096, 4096}},
		{SYS_brk, {4096}},
		{SYS_futex, {4096, 128, 1}}, /* FUTEX_WAIT_PRIVATE: an arena that is in use */
		{SYS_futex, {4096, 129, 1}},
	};
	char name[WAIT_NAME_MAX];
	size_t refused;
	int err = seccomp_check(t, calls, sizeof(calls) / sizeof(calls[0]), &refused);

	if (err == 1)
		return attempt_refuse(a, "has a seccomp filter that a purge would not pass (%s)",
				      wait_call_name(calls[refused].number, name));
	if (err == -EACCES)
		return attempt_refuse(
			a, "has a seccomp filter that only root may read: a purge might be killed by it");
	return err ? attempt_refuse(a, "has a seccomp filter that cannot be read: %s", strerror(-err)) : 0;
}

static bool has_filters(const struct purge_plan *plan, const struct attempt *a)
{
	char path[64], status[4096];

	snprintf(path, sizeof(path), "/proc/%d/task/%d", plan->process->pid, a->tid);
	return file_read_in(path, "status", status, sizeof(status)) <= 0 ||
	       !strstr(status, "\nSeccomp:\t0\n");
}

static int check(const struct purge_plan *plan, struct attempt *a, const struct tracee *t,
		 const struct user_regs_struct *regs, bool at_entry, struct thread_stack *stack)
{
	int err;

	if (!purge_plan_holds(plan))
		return attempt_refuse(
			a, "runs other code than before: an exec, or a probe that was placed meanwhile");
	if (thread_stack_find(plan->process->pid, &plan->maps, regs->rsp, regs->fs_base, stack))
		return attempt_refuse(a, "is not on a stack that the C library knows (a coroutine)");
	err = check_frames(plan, a, regs, at_entry, stack);
	return !err && has_filters(plan, a) ? check_filters(t, a) : err;
}

int standing_check(const struct purge_plan *plan, struct attempt *a, const struct tracee *t,
		   const struct user_regs_struct *regs, bool at_entry, struct thread_stack *stack)
{
	int err = check(plan, a, t, regs, at_entry, stack);

	a->closely = err != 0;
	return err;
}

int standing_call(const struct purge_plan *plan, struct attempt *a, struct tracee *t,
		  const struct user_regs_struct *regs, const struct thread_stack *stack)
{
	struct remote_call call = {
		.function = plan->function.addr,
		.text = plan->method->text,
		.sigreturn = plan->sigreturn.addr,
		.swab = plan->swab.addr,
		.errno_at = plan->errno_known ? regs->fs_base + (uint64_t)plan->errno_distance : 0,
		.stack_low = stack->low,
		.signal = a->signal,
	};
	struct remote_times times = {0};
	int err;

	memcpy(call.arguments, plan->method->arguments, sizeof(call.arguments));
	err = remote_call(t, plan->process->pid, regs, &call, &times);
	a->entered_ns = times.entered;
	a->returned_ns = times.returned;
	switch (err) {
	case 0:
	case -ESRCH:
		return err;
	case -EAGAIN:
		return attempt_refuse(a, "was to take a signal first");
	case -ENOSPC:
		return attempt_refuse(a, "has too little stack left");
	case -ENOTSUP:
	case -E2BIG:
		return attempt_refuse(a, "has a state of its FPU that no frame takes");
	default:
		return attempt_refuse(a, "cannot be written to: %s", strerror(-err));
	}
}
