#include "target/remote_call.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "target/signal_frame.h"

#define SYSCALL_LEN 2 /* of the instruction that a restarted system call goes back to */

/* include/linux/errno.h: seen by tracers only. A restart block (516) is lost with rt_sigreturn. */
#define ERESTARTSYS 512
#define ERESTARTNOINTR 513
#define ERESTARTNOHAND 514

/*
 * Measured with what the loader takes to bind functions at a first call: 3.2 KiB for malloc_trim,
 * 3.5 for jemalloc's and gperftools' purges.
 */
#define FUNCTION_STACK (16u << 10)

/* What the thread is, so that it can be it again. */
struct state {
	struct user_regs_struct registers;
	uint64_t mask;
	uint8_t xstate[SIGNAL_FRAME_XSTATE_MAX];
	size_t xstate_sz;
	int errno_was;
};

struct calling {
	struct tracee *t;
	pid_t pid;
	const struct remote_call *call;
	struct state was;
	struct signal_frame_chain chain;
};

bool remote_call_restarts(const struct user_regs_struct *stands)
{
	long result = (long)stands->rax;

	return (long)stands->orig_rax >= 0 &&
	       (result == -ERESTARTSYS || result == -ERESTARTNOINTR || result == -ERESTARTNOHAND);
}

static int write_memory(pid_t pid, uint64_t addr, void *data, size_t len)
{
	struct iovec local = {data, len}, remote = {(void *)addr, len};
	ssize_t wrote = process_vm_writev(pid, &local, 1, &remote, 1, 0);

	return wrote == (ssize_t)len ? 0 : wrote < 0 ? -errno : -EFAULT;
}

static int read_memory(pid_t pid, uint64_t addr, void *data, size_t len)
{
	struct iovec local = {data, len}, remote = {(void *)addr, len};
	ssize_t got = process_vm_readv(pid, &local, 1, &remote, 1, 0);

	return got == (ssize_t)len ? 0 : got < 0 ? -errno : -EFAULT;
}

static int save(struct calling *c, const struct user_regs_struct *stands)
{
	ssize_t size = tracee_xstate(c->t, c->was.xstate, sizeof(c->was.xstate));
	int err = tracee_signal_mask(c->t, &c->was.mask);

	c->was.registers = *stands;
	if (size == (ssize_t)sizeof(c->was.xstate))
		return -E2BIG; /* perhaps there is more of it */
	if (size < 0)
		return (int)size;
	c->was.xstate_sz = (size_t)size;
	if (!err && c->call->errno_at)
		err = read_memory(c->pid, c->call->errno_at, &c->was.errno_was, sizeof(c->was.errno_was));
	return err;
}

/* The registers that the last frame gives: those of a system call stand before its instruction again. */
static struct user_regs_struct anew(const struct user_regs_struct *stands)
{
	struct user_regs_struct r = *stands;

	if (remote_call_restarts(stands)) {
		r.rip -= SYSCALL_LEN;
		r.rax = r.orig_rax;
	}
	return r;
}

static int write_frames(struct calling *c)
{
	struct signal_frame_call frames = {
		.sigreturn = c->call->sigreturn,
		.function = c->call->function,
		.text = c->call->text,
		.swab = c->call->swab,
		.errno_at = c->call->errno_at,
		.errno_was = (uint32_t)c->was.errno_was,
		.signal = c->call->signal,
		.after = anew(&c->was.registers),
		.mask = c->was.mask,
		.xstate = c->was.xstate,
		.xstate_sz = c->was.xstate_sz,
	};
	int err;

	memcpy(frames.arguments, c->call->arguments, sizeof(frames.arguments));
	err = signal_frame_chain(&frames, &c->chain);
	if (!err &&
	    (c->chain.base < c->call->stack_low || c->chain.base - c->call->stack_low < FUNCTION_STACK))
		err = -ENOSPC;
	return err ? err : write_memory(c->pid, c->chain.base, c->chain.bytes, c->chain.len);
}

/*
 * It has not begun, and something else came first. Where a signal or a stop is to be taken the
 * kernel looks at the registers afterwards, so that the thread is what it was in every respect.
 */
static int withdraw(struct calling *c)
{
	int err = tracee_set_registers(c->t, &c->was.registers);

	tracee_release(c->t, c->t->signal);
	return err == -ESRCH ? err : -EAGAIN;
}

/*
 * Over the first rt_sigreturn, to the function's first instruction. The entry of a system call is
 * a point of no return, and the first one is ours: until then nothing but a handler could make
 * another, and a handler begins with a signal, which we see.
 */
static int enter(struct calling *c)
{
	for (int stops = 0; stops < 2;) {
		int err = tracee_resume(c->t, TRACEE_TO_SYSCALL, 0);

		if (!err)
			err = tracee_wait(c->t, 0);
		if (err)
			return err;
		if (c->t->stop == TRACEE_SYSCALL)
			stops++;
		else if (!stops)
			return withdraw(c);
	}
	return 0;
}

static bool is_over(const struct calling *c)
{
	struct user_regs_struct r;

	return c->t->stop == TRACEE_SIGNAL && c->t->signal == c->call->signal &&
	       !tracee_registers(c->t, &r) && r.rsp == c->chain.between_sp;
}

/* Until the function has returned. Stops of other kinds are let pass: a signal here is a forced one. */
static int await_return(struct calling *c)
{
	int err;

	do {
		err = tracee_resume(c->t, TRACEE_RUN, c->t->stop == TRACEE_SIGNAL ? c->t->signal : 0);
		if (!err)
			err = tracee_wait(c->t, 0);
	} while (!err && !is_over(c));
	return err;
}

/* Each step may be the last: until the registers are set, the last frame does it all. */
static int restore(struct calling *c)
{
	int now, err = 0;

	if (c->call->errno_at && !read_memory(c->pid, c->call->errno_at, &now, sizeof(now)) &&
	    now != c->was.errno_was)
		write_memory(c->pid, c->call->errno_at, &c->was.errno_was, sizeof(c->was.errno_was));
	err = tracee_set_xstate(c->t, c->was.xstate, c->was.xstate_sz);
	if (!err)
		err = tracee_set_signal_mask(c->t, c->was.mask);
	if (!err)
		err = tracee_set_registers(c->t, &c->was.registers);
	tracee_release(c->t, 0);
	return err == -ESRCH ? err : 0;
}

int remote_call(struct tracee *t, pid_t pid, const struct user_regs_struct *stands,
		const struct remote_call *call, struct remote_times *times)
{
	struct calling c = {.t = t, .pid = pid, .call = call};
	int err = save(&c, stands);

	if (!err)
		err = write_frames(&c);
	if (!err) {
		err = tracee_set_registers(t, &c.chain.enter);
		if (err)
			tracee_set_registers(t, stands);
	}
	if (err) {
		tracee_release(t, 0);
		return err;
	}
	err = enter(&c);
	if (err)
		return err;
	times->entered = clock_monotonic_ns();
	syscall(SYS_tgkill, pid, t->tid, call->signal);
	err = await_return(&c);
	times->returned = clock_monotonic_ns();
	return err ? err : restore(&c);
}
