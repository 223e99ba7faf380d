/* Real processes: children of ours in each state that process_open has a word for. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "base/units.h"
#include "target/process.h"

static void end_child(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void nothing(void)
{
}

static void take_hostile_name(void)
{
	prctl(PR_SET_NAME, "a) Z\033[2J\n(b");
}

static void opens_and_follows_a_process(void **state)
{
	pid_t pid = child_start(nothing);
	struct process p;
	struct process_usage usage;
	struct error err;

	(void)state;
	assert_int_equal(process_open(pid, &p, &err), 0);
	assert_int_equal(p.pid, pid);
	assert_string_equal(p.comm, "process_test");
	assert_non_null(strstr(p.exe, "process_test"));
	assert_false(p.is_static);
	assert_true(process_alive(&p));
	assert_int_equal(process_usage(&p, true, &usage), 0);
	assert_true(usage.rss > 4096 && usage.rss < GIB && usage.anon <= usage.rss);
	kill(pid, SIGKILL);
	siginfo_t info;
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	assert_false(process_alive(&p)); /* a zombie is not alive */
	assert_int_equal(process_usage(&p, false, &usage), -ESRCH);
	assert_int_equal(process_refresh(&p, "new\nname", &err), -ESRCH);
	assert_string_equal(p.comm, "new?name"); /* what it ended as */
	end_child(pid);
	assert_false(process_alive(&p));
	process_close(&p);
	process_close(&p);
}

static void lazy_free_is_counted(void **state)
{
	const size_t size = 8 * MIB;
	char *block = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct process_usage usage;
	struct process p;
	struct error err;

	(void)state;
	memset(block, 1, size);
	assert_int_equal(process_open(getpid(), &p, &err), 0);
	assert_int_equal(madvise(block, size, MADV_FREE), 0);
	assert_int_equal(process_usage(&p, true, &usage), 0);
	assert_in_range(usage.lazy_free, size / 2, 2 * size);
	assert_int_equal(process_usage(&p, false, &usage), 0);
	assert_int_equal(usage.lazy_free, 0);
	process_close(&p);
	munmap(block, size);
}

static void names_are_made_printable(void **state)
{
	pid_t pid = child_start(take_hostile_name);
	struct process p;
	struct error err;

	(void)state;
	assert_int_equal(process_open(pid, &p, &err), 0);
	assert_string_equal(p.comm, "a) Z?[2J?(b");
	process_close(&p);
	end_child(pid);
}

static void refuse(pid_t pid, int code, const char *words)
{
	struct error err = {""};
	struct process p;

	assert_int_equal(process_open(pid, &p, &err), code);
	if (!strstr(err.text, words))
		fail_msg("'%s' does not say '%s'", err.text, words);
	assert_null(strchr(err.text, '\n'));
	assert_int_equal(p.pidfd, -1);
}

static void refuses_what_is_no_process(void **state)
{
	pid_t gone = child_start(nothing), zombie = child_start(nothing);
	siginfo_t info;

	(void)state;
	end_child(gone);
	refuse(gone, -ESRCH, "there is no process");
	refuse(0, -ESRCH, "there is no process");
	kill(zombie, SIGKILL);
	assert_int_equal(waitid(P_PID, (id_t)zombie, &info, WEXITED | WNOWAIT), 0);
	refuse(zombie, -ESRCH, "zombie");
	waitpid(zombie, NULL, 0);
}

struct thread {
	int tell[2], end[2]; /* pipes: its tid, and an end of file when it may go */
};

static void *tell_tid(void *arg)
{
	const struct thread *t = arg;
	pid_t tid = (pid_t)syscall(SYS_gettid);

	if (write(t->tell[1], &tid, sizeof(tid)) == sizeof(tid) && read(t->end[0], &tid, 1) != 0)
		abort();
	return NULL;
}

static void refuses_a_thread(void **state)
{
	struct thread t;
	pthread_t thread;
	pid_t tid;

	(void)state;
	assert_int_equal(pipe(t.tell), 0);
	assert_int_equal(pipe(t.end), 0);
	assert_int_equal(pthread_create(&thread, NULL, tell_tid, &t), 0);
	assert_int_equal(read(t.tell[0], &tid, sizeof(tid)), sizeof(tid));
	refuse(tid, -EINVAL, "is a thread of process");
	close(t.end[1]);
	pthread_join(thread, NULL);
	close(t.end[0]);
	close(t.tell[0]);
	close(t.tell[1]);
}

/* kthreadd is 2 wherever kernel threads are in sight at all (not in a PID namespace of our own). */
static void refuses_a_kernel_thread(void **state)
{
	char comm[16] = "";
	FILE *f = fopen("/proc/2/comm", "r");

	(void)state;
	if (!f || !fgets(comm, sizeof(comm), f) || strcmp(comm, "kthreadd\n") != 0) {
		if (f)
			fclose(f);
		skip();
	}
	fclose(f);
	refuse(2, -EINVAL, "kernel thread");
}

/* Another user's process, seen without privilege: the child that looks has given up root. */
static void says_whose_process_it_is(void **state)
{
	struct error err = {""};
	struct process p;
	int status, fds[2];
	pid_t pid;

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(pipe(fds), 0);
	pid = fork();
	if (pid == 0) {
		int code = setuid(65534) == 0 ? process_open(getppid(), &p, &err) : 1;

		if (write(fds[1], &err, sizeof(err)) != sizeof(err))
			_exit(99);
		_exit(code == -EACCES ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(read(fds[0], &err, sizeof(err)), sizeof(err));
	assert_non_null(strstr(err.text, "belongs to uid 0: run as that user, or with sudo"));
	close(fds[0]);
	close(fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(opens_and_follows_a_process),
		cmocka_unit_test(lazy_free_is_counted),
		cmocka_unit_test(names_are_made_printable),
		cmocka_unit_test(refuses_what_is_no_process),
		cmocka_unit_test(refuses_a_thread),
		cmocka_unit_test(refuses_a_kernel_thread),
		cmocka_unit_test(says_whose_process_it_is),
	};

	return cmocka_run_group_tests_name("process", tests, NULL, NULL);
}
