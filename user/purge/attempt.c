#include "purge/attempt.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/units.h"
#include "target/remote_call.h"
#include "target/seccomp.h"
#include "target/thread_stack.h"
#include "target/tracee.h"

#define STOP_MAX_NS NSEC_PER_SEC
#define USER_CODE 0x33      /* the selector of 64-bit code, arch/x86/include/asm/segment.h */
#define SYSCALL_INSN 0x050f /* of two bytes; int $0x80 has other numbers */
#define ERESTARTNOHAND 514  /* include/linux/errno.h */
#define SCAN_MAX (8 * MIB)  /* of a stack that cannot be followed */
#define PREPARED_MAX (64 * KIB)
#define WINDOW_WORDS 8192

static int refuse(struct attempt *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static int refuse(struct attempt *a, const char *fmt, ...)
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

/* What its status file tells of the thread itself. */
static bool check_status(const struct purge_plan *plan, struct attempt *a)
{
	char path[64], status[4096];
	const char *features;

	snprintf(path, sizeof(path), "/proc/%d/task/%d", plan->process->pid, a->tid);
	if (file_read_in(path, "status", status, sizeof(status)) <= 0)
		return refuse(a, "has ended"), false;
	if (status_number(status, "\nSeccomp:") == SECCOMP_MODE_STRICT)
		return refuse(a, "is in seccomp's strict mode: a purge's first system call would kill it"),
		       false;
	if (status_number(status, "\nTracerPid:") > 0)
		return refuse(a, "is traced by process %ld", status_number(status, "\nTracerPid:")), false;
	/* Since 6.6, CONFIG_X86_USER_SHADOW_STACK: the frames that we prepare are not on its shadow stack. */
	features = strstr(status, "\nx86_Thread_features:");
	if (features && memmem(features, strcspn(features + 1, "\n") + 1, "shstk", 5))
		return refuse(a, "has a shadow stack (CET), which a prepared frame does not pass"), false;
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
		return refuse(a, err == -ESRCH ? "has ended" : "may not be looked at"), false;
	if (a->call.number == WAIT_RUNS)
		return refuse(a, "runs, and could be anywhere when it stops"), false;
	refused = wait_call_refused(plan->process->pid, plan->process->pidfd, &plan->maps, &a->call);
	if (refused)
		return refuse(a, "waits in %s, %s", wait_call_name(a->call.number, name), refused), false;
	return check_status(plan, a);
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

/* A stack while it is looked through. */
struct looking {
	const struct ground *ground;
	const char *why; /* NULL: nothing is forbidden so far */
};

static bool look_at_frame(const struct backtrace_frame *frame, void *arg)
{
	struct looking *l = arg;

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
			const struct thread_stack *stack)
{
	struct looking l = {.ground = plan->ground};
	enum backtrace_end end = backtrace_each(plan->backtrace, a->tid, regs, look_at_frame, &l);

	if (end == BACKTRACE_CUT && !l.why)
		l.why = look_at_words(plan, stack, regs->rsp);
	return l.why ? refuse(a, "%s", l.why) : 0;
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
		return refuse(a, "has a seccomp filter that a purge would not pass (%s)",
			      wait_call_name(calls[refused].number, name));
	if (err == -EACCES)
		return refuse(a,
			      "has a seccomp filter that only root may read: a purge might be killed by it");
	return err ? refuse(a, "has a seccomp filter that cannot be read: %s", strerror(-err)) : 0;
}

static bool has_filters(const struct purge_plan *plan, const struct attempt *a)
{
	char path[64], status[4096];

	snprintf(path, sizeof(path), "/proc/%d/task/%d", plan->process->pid, a->tid);
	return file_read_in(path, "status", status, sizeof(status)) <= 0 ||
	       status_number(status, "\nSeccomp:") != 0;
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

/*
 * In the moment between our last look and the stop it went on, and into a call that ends with
 * EINTR at a stop. Made to be begun anew, as the kernel does with others.
 */
static void begin_anew(struct tracee *t, struct user_regs_struct *regs)
{
	if ((long)regs->rax != -EINTR || !wait_call_repeatable((long)regs->orig_rax))
		return;
	regs->rax = (unsigned long long)-ERESTARTNOHAND;
	tracee_set_registers(t, regs);
}

static int call_standing(const struct purge_plan *plan, struct attempt *a, struct tracee *t)
{
	struct remote_call call = {
		.function = plan->function.addr,
		.text = plan->method->text,
		.sigreturn = plan->sigreturn.addr,
		.swab = plan->swab.addr,
		.signal = plan->signal,
	};
	struct remote_times times = {0};
	struct thread_stack stack;
	struct user_regs_struct regs;
	int err = tracee_registers(t, &regs);

	if (!err && !stands_where_seen(plan, a, &regs)) {
		begin_anew(t, &regs);
		err = refuse(a, "went on as it was to be stopped");
	}
	if (!err && !purge_plan_holds(plan))
		err = refuse(a, "runs other code than before: an exec, or a probe that was placed meanwhile");
	if (!err && thread_stack_find(plan->process->pid, &plan->maps, regs.rsp, regs.fs_base, &stack))
		err = refuse(a, "is not on a stack that the C library knows (a coroutine)");
	if (!err)
		err = check_frames(plan, a, &regs, &stack);
	if (!err && has_filters(plan, a))
		err = check_filters(t, a);
	if (err) {
		tracee_release(t, 0);
		return err;
	}
	memcpy(call.arguments, plan->method->arguments, sizeof(call.arguments));
	call.stack_low = stack.low;
	call.errno_at = plan->errno_known ? regs.fs_base + (uint64_t)plan->errno_distance : 0;
	err = remote_call(t, plan->process->pid, &regs, &call, &times);
	a->entered_ns = times.entered;
	a->returned_ns = times.returned;
	switch (err) {
	case 0:
	case -ESRCH:
		return err;
	case -EAGAIN:
		return refuse(a, "was to take a signal first");
	case -ENOSPC:
		return refuse(a, "has too little stack left");
	case -ENOTSUP:
	case -E2BIG:
		return refuse(a, "has a state of its FPU that no frame takes");
	default:
		return refuse(a, "cannot be written to: %s", strerror(-err));
	}
}

/* The way from the look, once the thread's id is its own, to the stop is as short as can be. */
static int call_tracing(const struct purge_plan *plan, struct attempt *a)
{
	struct wait_call now;
	struct tracee t;
	int err = tracee_seize(&t, a->tid);

	if (err == -EPERM)
		return process_alive(plan->process)
			       ? refuse(a, "may not be traced: it is ending, or somebody else's")
			       : -ESRCH;
	if (err || wait_call_read(plan->process->pid, a->tid, &now))
		return refuse(a, "has ended");
	if (!wait_call_same(&now, &a->call))
		return refuse(a, "went on as it was to be stopped");
	a->stopped_ns = clock_monotonic_ns();
	err = tracee_interrupt(&t);
	if (!err)
		err = tracee_wait(&t, a->stopped_ns + STOP_MAX_NS);
	if (err)
		return refuse(a, err == -ETIMEDOUT ? "does not stop: it is busy in the kernel" : "has ended");
	if (t.stop != TRACEE_INTERRUPTED) {
		tracee_release(&t, t.signal);
		err = refuse(a, "was to take a signal first");
	} else {
		err = call_standing(plan, a, &t);
	}
	a->released_ns = clock_monotonic_ns();
	return err;
}

struct tracing {
	const struct purge_plan *plan;
	struct attempt *a;
	int err;
};

static void *run_tracing(void *arg)
{
	struct tracing *tracing = arg;

	tracing->err = call_tracing(tracing->plan, tracing->a);
	return NULL;
}

/*
 * A thread that has been seized and must not be stopped after all can be let go in one way: by the
 * end of its tracer, which therefore is a thread of its own.
 */
int attempt_call(const struct purge_plan *plan, struct attempt *a)
{
	struct tracing tracing = {plan, a, 0};
	pthread_t thread;

	prepare(plan, a);
	tracee_prepare();
	if (pthread_create(&thread, NULL, run_tracing, &tracing))
		return refuse(a, "cannot be traced: we may not start a thread");
	pthread_join(thread, NULL);
	return tracing.err;
}
