/* Seccomp filters run as the kernel runs them: made by hand, and one that a child has in force. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <linux/audit.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "target/seccomp.h"

#define LEN(program) (sizeof(program) / sizeof((program)[0]))
#define NUMBER offsetof(struct seccomp_data, nr)
#define ARGUMENT(i) (offsetof(struct seccomp_data, args) + 8 * (i))

static const struct seccomp_data madvise_data = {
	.nr = SYS_madvise, .arch = AUDIT_ARCH_X86_64, .args = {4096, 8192, MADV_DONTNEED}};

static void a_list_of_what_is_allowed(void **state)
{
	const struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, NUMBER),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 1000, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
	};
	struct seccomp_data data = madvise_data;

	(void)state;
	assert_int_equal(seccomp_run(program, LEN(program), &data), SECCOMP_RET_ALLOW);
	data.nr = SYS_brk;
	assert_int_equal(seccomp_run(program, LEN(program), &data), SECCOMP_RET_ERRNO | EPERM);
	data.nr = 1000;
	assert_int_equal(seccomp_run(program, LEN(program), &data), SECCOMP_RET_TRAP);
	data.arch = AUDIT_ARCH_I386;
	assert_int_equal(seccomp_run(program, LEN(program), &data), SECCOMP_RET_KILL_PROCESS);
}

/* a = ((advice + 3) · 2 ^ 1) >> 1, by way of memory and x; the answer is the accumulator. */
static void arithmetic(void **state)
{
	const struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ARGUMENT(2)),
		BPF_STMT(BPF_ALU | BPF_ADD | BPF_K, 3),
		BPF_STMT(BPF_ST, 15),
		BPF_STMT(BPF_LDX | BPF_W | BPF_IMM, 2),
		BPF_STMT(BPF_LD | BPF_W | BPF_MEM, 15),
		BPF_STMT(BPF_ALU | BPF_MUL | BPF_X, 0),
		BPF_STMT(BPF_MISC | BPF_TAX, 0),
		BPF_STMT(BPF_LD | BPF_W | BPF_IMM, 1),
		BPF_STMT(BPF_ALU | BPF_XOR | BPF_X, 0),
		BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 1),
		BPF_STMT(BPF_RET | BPF_A, 0),
	};

	(void)state;
	assert_int_equal(seccomp_run(program, LEN(program), &madvise_data),
			 ((MADV_DONTNEED + 3) * 2 ^ 1) >> 1);
}

static void what_makes_no_sense_kills(void **state)
{
	const struct sock_filter programs[][2] = {
		{BPF_STMT(BPF_LD | BPF_W | BPF_ABS, sizeof(struct seccomp_data)),
		 BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)},
		{BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 2), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)},
		{BPF_STMT(BPF_LD | BPF_W | BPF_MEM, 16), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)},
		{BPF_STMT(BPF_ALU | BPF_DIV | BPF_X, 0), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)},
		{BPF_STMT(BPF_JMP | BPF_JA, 0xffffffff), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)},
		{BPF_STMT(BPF_JMP | BPF_JA, 7), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)},
		{BPF_STMT(BPF_LD | BPF_H | BPF_IND, 0), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)},
	};

	(void)state;
	for (size_t i = 0; i < LEN(programs); i++)
		assert_int_equal(seccomp_run(programs[i], 2, &madvise_data), SECCOMP_RET_KILL_PROCESS);
	assert_int_equal(seccomp_run(NULL, 0, &madvise_data), SECCOMP_RET_KILL_PROCESS);
}

static void filter_out(int number)
{
	struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, NUMBER),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)number, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = {LEN(program), program};

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter))
		_exit(1);
}

/* The second one is the stricter, and then the first. */
static void two_filters(void)
{
	filter_out(SYS_munmap);
	filter_out(SYS_kexec_load);
}

static void all_filters_of_a_thread_are_asked(void **state)
{
	const struct seccomp_call calls[] = {{SYS_madvise, {4096, 4096, MADV_DONTNEED}},
					     {SYS_munmap, {4096, 4096}}};
	const struct seccomp_call others[] = {{SYS_brk, {0}}, {SYS_madvise, {4096, 4096, MADV_DONTNEED}}};
	pid_t pid = child_start(two_filters);
	size_t refused = 99;
	struct tracee t;
	int ret;

	(void)state;
	tracee_prepare();
	assert_int_equal(tracee_seize(&t, pid), 0);
	assert_int_equal(tracee_interrupt(&t), 0);
	assert_int_equal(tracee_wait(&t, 0), 0);
	ret = seccomp_check(&t, others, 2, &refused);
	if (ret == -EACCES || ret == -EINVAL) {
		print_message("SKIP: this user or kernel is not told of filters\n");
	} else {
		assert_int_equal(ret, 0);
		assert_int_equal(seccomp_check(&t, calls, 2, &refused), 1);
		assert_int_equal(refused, 1);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	waitpid(pid, NULL, __WALL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_list_of_what_is_allowed),
		cmocka_unit_test(arithmetic),
		cmocka_unit_test(what_makes_no_sense_kills),
		cmocka_unit_test(all_filters_of_a_thread_are_asked),
	};

	return cmocka_run_group_tests_name("seccomp", tests, NULL, NULL);
}
