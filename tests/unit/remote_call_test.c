/*
 * A function called in a child that waits in a system call, with every register marked: what the
 * child is afterwards, with the tracer alive and killed at each of its own system calls.
 */
#include <errno.h>
#include <immintrin.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/units.h"
#include "target/remote_call.h"

#define MARK 0x5a5aa5a500112233ULL

/* Shared with the child. */
static struct shared {
	atomic_int calls, handled, held;
	atomic_bool hold; /* the function waits until it is taken back */
	atomic_ulong argument;
	atomic_int text_differs, mask_differs, misaligned;
	atomic_long result; /* of the last read */
	atomic_int rounds, errors;
	uint8_t vectors[2][32 * 64];
} * shared;

static int requests[2]; /* the child waits on it */

/* rt_sigreturn, as libc has it for handlers. */
__asm__(".pushsection .text\n.globl test_sigreturn\ntest_sigreturn:\n\tmovq $15, "
	"%rax\n\tsyscall\n.popsection");
extern const char test_sigreturn[];

static void blocked_all(void)
{
	uint64_t mask = 0;

	syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &mask, sizeof(mask));
	/* all but SIGKILL and SIGSTOP, which nobody can block */
	if (mask != ~(1ULL << (SIGKILL - 1) | 1ULL << (SIGSTOP - 1)))
		shared->mask_differs++;
}

/* What is called: leaves nothing as it was. */
static __attribute__((noinline)) long called(const char *text, uint64_t argument)
{
	long double x = 1.5L;

	if ((uintptr_t)__builtin_frame_address(0) % 16)
		shared->misaligned++;
	if (strcmp(text, "arena.4096.purge"))
		shared->text_differs++;
	shared->argument = argument;
	blocked_all();
	errno = ENOMEM;
	_mm_setcsr(_mm_getcsr() ^ 0x8000);
	__asm__ volatile(
		"vpcmpeqd %%ymm0, %%ymm0, %%ymm0\n\tvmovdqa %%ymm0, %%ymm7\n\tvmovdqa %%ymm0, %%ymm15\n\t"
		"fldt %0\n\tfstp %%st(0)\n\tstd\n\tcld" ::"m"(x)
		: "xmm0", "xmm7", "xmm15");
	shared->held = 1;
	while (shared->hold)
		sched_yield();
	shared->calls++;
	return (long)MARK;
}

static void on_signal(int signal)
{
	(void)signal;
	shared->handled++;
}

static bool wide; /* AVX-512 */

__attribute__((target("avx2"))) static void store_ymm(uint8_t *to)
{
	__asm__ volatile(
		"vmovdqu %%ymm0, (%0)\n\tvmovdqu %%ymm7, 64(%0)\n\tvmovdqu %%ymm15, 128(%0)" ::"r"(to)
		: "memory");
}

__attribute__((target("avx512f"))) static void store_zmm(uint8_t *to)
{
	__asm__ volatile(
		"vmovdqu64 %%zmm0, 192(%0)\n\tvmovdqu64 %%zmm16, 256(%0)\n\tvmovdqu64 %%zmm31, 320(%0)\n\t"
		"kmovw %%k1, %%eax\n\tmovl %%eax, 384(%0)" ::"r"(to)
		: "memory", "eax");
}

__attribute__((target("avx512f"))) static void load_zmm(const uint8_t *from)
{
	__asm__ volatile(
		"vmovdqu64 (%0), %%zmm0\n\tvmovdqu64 64(%0), %%zmm16\n\tvmovdqu64 128(%0), %%zmm31\n\t"
		"movl $0x5a5a, %%eax\n\tkmovw %%eax, %%k1" ::"r"(from)
		: "memory", "eax");
}

__attribute__((target("avx2"))) static void load_ymm(const uint8_t *from)
{
	__asm__ volatile(
		"vmovdqu (%0), %%ymm0\n\tvmovdqu 64(%0), %%ymm7\n\tvmovdqu 128(%0), %%ymm15" ::"r"(from));
}

/* A read with a mark in every register that a system call keeps; counts those that it did not. */
static long marked_read(int fd, void *buf, uint64_t *lost)
{
	struct {
		uint64_t before[9], after[9];
	} marks;
	uint64_t *at = marks.before, red_zone = 1;
	long result;

	for (int i = 0; i < 9; i++)
		marks.before[i] = MARK + (uint64_t)i;
	load_ymm(shared->vectors[0]);
	if (wide)
		load_zmm(shared->vectors[0]);
	__asm__ volatile("pushq %%rbp\n\tsubq $256, %%rsp\n\tmovq %%rcx, 8(%%rsp)\n\t"
			 "movq (%%rcx), %%rbx\n\tmovq 8(%%rcx), %%r8\n\tmovq 16(%%rcx), %%r9\n\tmovq "
			 "24(%%rcx), %%r10\n\t"
			 "movq 32(%%rcx), %%r12\n\tmovq 40(%%rcx), %%r13\n\tmovq 48(%%rcx), %%r14\n\tmovq "
			 "56(%%rcx), %%r15\n\t"
			 "movq 64(%%rcx), %%rbp\n\tmovq %%rcx, -64(%%rsp)\n\t" /* the red zone */
			 "syscall\n\t"
			 "movq 8(%%rsp), %%rcx\n\t"
			 "movq %%rbx, 72(%%rcx)\n\tmovq %%r8, 80(%%rcx)\n\tmovq %%r9, 88(%%rcx)\n\tmovq "
			 "%%r10, 96(%%rcx)\n\t"
			 "movq %%r12, 104(%%rcx)\n\tmovq %%r13, 112(%%rcx)\n\tmovq %%r14, 120(%%rcx)\n\tmovq "
			 "%%r15, 128(%%rcx)\n\t"
			 "movq %%rbp, 136(%%rcx)\n\tmovq -64(%%rsp), %%rdx\n\t"
			 "addq $256, %%rsp\n\tpopq %%rbp"
			 : "=a"(result), "+d"(red_zone), "+c"(at)
			 : "a"(SYS_read), "D"(fd), "S"(buf)
			 : "rbx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory");
	store_ymm(shared->vectors[1]);
	if (wide)
		store_zmm(shared->vectors[1]);
	*lost = (uint64_t)memcmp(marks.before, marks.after, sizeof(marks.before)) ||
		red_zone != (uintptr_t)marks.before;
	return result;
}

static void run_child(void)
{
	uint8_t *loaded = shared->vectors[0], *found = shared->vectors[1];
	unsigned csr = 0x1fa0;
	uint64_t lost, mask = 1ULL << (SIGUSR2 - 1), now;
	char byte;

	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, sizeof(mask));
	for (;;) {
		long result;

		errno = EXDEV;
		_mm_setcsr(csr);
		result = marked_read(requests[0], &byte, &lost);
		syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &now, sizeof(now));
		shared->errors +=
			lost || errno != EXDEV || _mm_getcsr() != csr || now != mask ||
			memcmp(loaded + 64, found + 64, 32) || memcmp(loaded + 128, found + 128, 32) ||
			(wide && (memcmp(loaded, found + 192, 64) || memcmp(loaded + 64, found + 256, 64) ||
				  memcmp(loaded + 128, found + 320, 64) || found[384] != 0x5a));
		shared->result = result;
		shared->rounds++;
	}
}

static pid_t start(void)
{
	pid_t pid;

	memset(shared, 0, sizeof(*shared));
	for (size_t i = 0; i < sizeof(shared->vectors[0]); i++)
		shared->vectors[0][i] = (uint8_t)(i * 7 + 3);
	assert_int_equal(pipe(requests), 0);
	wide = __builtin_cpu_supports("avx512f");
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		run_child();
	}
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(requests[0]);
	close(requests[1]);
}

/* The child is in a system call with that number. */
static void await_waiting(pid_t pid)
{
	char path[64], text[32] = "";

	snprintf(path, sizeof(path), "/proc/%d/syscall", pid);
	while (strncmp(text, "0 ", 2)) {
		FILE *f = fopen(path, "r");

		if (f) {
			if (!fgets(text, sizeof(text), f))
				text[0] = '\0';
			fclose(f);
		}
	}
}

/* The child goes around once more, and all of it is what it was. */
static void check_round(pid_t pid, long expected)
{
	int rounds = shared->rounds;

	if (expected == 1)
		assert_int_equal(write(requests[1], "x", 1), 1);
	while (shared->rounds == rounds)
		assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
	assert_int_equal(shared->result, expected);
	assert_int_equal(shared->errors, 0);
	assert_int_equal(shared->mask_differs, 0);
	assert_int_equal(shared->misaligned, 0);
	assert_int_equal(shared->text_differs, 0);
}

static int call_above(pid_t pid, uint64_t stack_left)
{
	struct remote_call what = {
		.function = (uintptr_t)called,
		.arguments = {0, MARK},
		.text = "arena.4096.purge",
		.sigreturn = (uintptr_t)test_sigreturn,
		.errno_at = (uintptr_t)&errno,
		.swab = (uintptr_t)swab,
		.signal = SIGURG,
	};
	struct remote_times times;
	struct user_regs_struct regs;
	struct tracee t;
	int err = tracee_seize(&t, pid);

	if (!err)
		err = tracee_interrupt(&t);
	if (!err)
		err = tracee_wait(&t, clock_monotonic_ns() + 5 * NSEC_PER_SEC);
	if (!err)
		err = tracee_registers(&t, &regs);
	if (err)
		return err;
	what.stack_low = regs.rsp - stack_left;
	return remote_call(&t, pid, &regs, &what, &times);
}

static int call(pid_t pid)
{
	return call_above(pid, 1 << 20);
}

static void the_function_runs_and_nothing_is_changed(void **state)
{
	pid_t pid = start();

	(void)state;
	for (int i = 1; i <= 200; i++) {
		await_waiting(pid);
		assert_int_equal(call(pid), 0);
		assert_int_equal(shared->calls, i);
		assert_int_equal(shared->argument, MARK);
		check_round(pid, 1);
	}
	end(pid);
}

/* While the function is held, a signal comes. */
static void signal_during_call(int flags, long expected)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = flags}, before;
	pid_t pid, tracer;
	int status;

	sigaction(SIGUSR1, &action, &before);
	pid = start();
	shared->hold = true;
	await_waiting(pid);
	tracer = fork();
	if (tracer == 0)
		_exit(call(pid) ? 1 : 0);
	while (!shared->held)
		sched_yield();
	kill(pid, SIGUSR1);
	kill(pid, SIGURG);
	shared->hold = false;
	if (expected != 1)
		check_round(pid, expected);
	assert_int_equal(waitpid(tracer, &status, 0), tracer);
	assert_int_equal(status, 0);
	if (expected == 1)
		check_round(pid, 1);
	assert_int_equal(shared->handled, 1);
	await_waiting(pid);
	check_round(pid, 1);
	end(pid);
	sigaction(SIGUSR1, &before, NULL);
}

static void a_handler_ends_the_system_call(void **state)
{
	(void)state;
	signal_during_call(0, -EINTR);
}

static void a_restarting_handler_does_not(void **state)
{
	(void)state;
	signal_during_call(SA_RESTART, 1);
}

/* Runs the tracer up to its nth system call, and kills it there. True: it ended by itself before. */
static bool killed_at(pid_t pid, int nth, int *status)
{
	pid_t tracer = fork();

	if (tracer == 0) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		_exit(call(pid) ? 1 : 0);
	}
	waitpid(tracer, status, 0);
	for (int i = 0; i < nth; i++) {
		int sig = WIFSTOPPED(*status) && WSTOPSIG(*status) == SIGCHLD ? SIGCHLD : 0;

		ptrace(PTRACE_SYSCALL, tracer, NULL, (void *)(long)sig);
		waitpid(tracer, status, 0);
		if (WIFEXITED(*status))
			return true;
	}
	kill(tracer, SIGKILL);
	waitpid(tracer, status, 0);
	return false;
}

static void our_death_is_harmless_everywhere(void **state)
{
	pid_t pid = start();
	int nth = 0, status;

	(void)state;
	for (bool ended = false; !ended; nth++) {
		await_waiting(pid);
		ended = killed_at(pid, nth, &status);
		check_round(pid, 1);
	}
	assert_int_equal(status, 0);
	assert_true(nth > 40); /* it was killed in all places */
	assert_true(shared->calls > 10 && shared->calls < nth);
	end(pid);
}

/* A signal that the tracer has seen and not yet passed on when it dies. */
static void signals_outlive_us(void **state)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART}, before;
	struct tracee t;
	pid_t pid, tracer;

	(void)state;
	sigaction(SIGUSR1, &action, &before);
	pid = start();
	for (int i = 1; i <= 20; i++) {
		await_waiting(pid);
		tracer = fork();
		if (tracer == 0) {
			if (tracee_seize(&t, pid) || kill(pid, SIGUSR1) || tracee_wait(&t, 0) ||
			    t.stop != TRACEE_SIGNAL)
				_exit(1);
			raise(SIGKILL);
		}
		waitpid(tracer, NULL, 0);
		check_round(pid, 1);
		assert_int_equal(shared->handled, i);
	}
	end(pid);
	sigaction(SIGUSR1, &before, NULL);
}

static void too_little_stack_is_refused(void **state)
{
	pid_t pid = start();

	(void)state;
	await_waiting(pid);
	assert_int_equal(call_above(pid, 16 << 10), -ENOSPC);
	check_round(pid, 1);
	assert_int_equal(shared->calls, 0);
	end(pid);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_function_runs_and_nothing_is_changed),
		cmocka_unit_test(a_handler_ends_the_system_call),
		cmocka_unit_test(a_restarting_handler_does_not),
		cmocka_unit_test(our_death_is_harmless_everywhere),
		cmocka_unit_test(signals_outlive_us),
		cmocka_unit_test(too_little_stack_is_refused),
	};

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	tracee_prepare();
	return cmocka_run_group_tests_name("remote call", tests, NULL, NULL);
}
