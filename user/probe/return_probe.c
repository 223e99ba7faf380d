#include "probe/return_probe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "probe/own_code.h"

/* x86-64: numbers between the last of the old system calls and the first of the new; no program makes them.
 */
#define UNKNOWN_FIRST 335
#define UNKNOWN_END 424

/* What is probed: neither inlined nor merged with another function. */
__attribute__((noinline, used)) static int called_once(int x)
{
	__asm__ volatile("" : "+r"(x));
	return x + 1;
}

static int install_filter(void)
{
	struct sock_filter insns[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, UNKNOWN_END, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, UNKNOWN_FIRST, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = {.len = sizeof(insns) / sizeof(insns[0]), .filter = insns};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) ? -errno : 0;
}

/* A kernel without seccomp kills nobody by it. */
static void *thread_main(void *arg)
{
	install_filter();
	*(volatile int *)arg = called_once(*(volatile int *)arg);
	return NULL;
}

static void __attribute__((noreturn)) child_main(int go)
{
	pthread_t thread;
	int number = 1;
	char byte;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_DUMPABLE, 0); /* its death is expected: no core file */
	/* Without a byte the experiment was called off. */
	if (read(go, &byte, 1) != 1 || pthread_create(&thread, NULL, thread_main, &number))
		_exit(1);
	pthread_join(thread, NULL);
	_exit(number == 2 ? 0 : 1);
}

int subject_start(struct subject *subject)
{
	int pipe_fds[2];

	if (pipe2(pipe_fds, O_CLOEXEC))
		return -errno;
	subject->pid = fork();
	if (subject->pid == 0) {
		close(pipe_fds[1]);
		child_main(pipe_fds[0]);
	}
	close(pipe_fds[0]);
	subject->go = pipe_fds[1];
	if (subject->pid < 0) {
		close(subject->go);
		return -EAGAIN;
	}
	return 0;
}

int subject_run(struct subject *subject)
{
	int status, ret;

	ret = write(subject->go, "", 1) == 1 ? 0 : -errno;
	close(subject->go);
	while (waitpid(subject->pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return ret ? ret : status;
}

int subject_offset(uint64_t *file_offset)
{
	return own_code_offset((const void *)(uintptr_t)called_once, file_offset);
}
