/* Processes in PID namespaces of their own, one in another; as root only. */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "target/pid_namespace.h"

#define LEVELS 3

/* The first of each namespace, innermost last, by our numbers; each waits for its child, and is that one's 1.
 */
static pid_t first[LEVELS];
static int ready[2];

/* A namespace in a namespace …: who is 1 in one has a child that is 1 in the next. */
static void nest(void)
{
	for (int level = 0; level < LEVELS; level++) {
		pid_t child = unshare(CLONE_NEWPID) ? -1 : fork();

		if (!child)
			continue;
		waitpid(child, NULL, 0);
		_exit(0);
	}
	if (write(ready[1], "x", 1) == 1)
		pause();
	_exit(0);
}

static pid_t only_child(pid_t pid)
{
	char path[64];
	int child = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
	f = fopen(path, "re");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%d", &child), 1);
	fclose(f);
	return child;
}

static int start(void **state)
{
	static pid_t outermost;
	char byte;

	if (geteuid())
		return 0;
	assert_int_equal(pipe(ready), 0);
	outermost = fork();
	if (!outermost)
		nest();
	*state = &outermost;
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	for (int i = 0; i < LEVELS; i++)
		first[i] = only_child(i ? first[i - 1] : outermost);
	return 0;
}

static int stop(void **state)
{
	pid_t *outermost = *state;

	if (!outermost)
		return 0;
	kill(first[0], SIGKILL); /* and with it all that is in its namespace */
	waitpid(*outermost, NULL, 0);
	return 0;
}

static void a_number_of_each_namespace(void **state)
{
	pid_t found = 0;

	if (!*state)
		skip();
	for (int i = 0; i < LEVELS; i++) {
		assert_int_equal(pid_namespace_find(first[i], 1, &found, NULL), 0);
		assert_int_equal(found, first[i]);
		/* Where one is 1, the one in the namespace inside is its child and has another number. */
		for (int k = i + 1; k < LEVELS; k++) {
			int depth = k - i; /* forked one after the other, in an empty namespace */

			assert_int_equal(pid_namespace_find(first[i], 1 + depth, &found, NULL), 0);
			assert_int_equal(found, first[k]);
		}
	}
}

static void our_own_numbers(void **state)
{
	pid_t found = 0, own = 0;

	assert_int_equal(pid_namespace_find(getpid(), getppid(), &found, NULL), 0);
	assert_int_equal(found, getppid());
	assert_int_equal(pid_namespace_own(getpid(), &own), 0);
	if (*state)
		for (int i = 0; i < LEVELS; i++) {
			assert_int_equal(pid_namespace_own(first[i], &own), 0);
			assert_int_equal(own, 1);
		}
}

static void none_is_an_error(void **state)
{
	struct error err;
	pid_t found = 0, own = 0;

	assert_int_equal(pid_namespace_find(getpid(), 0, &found, &err), -ESRCH);
	assert_int_equal(pid_namespace_find(getpid(), -1, &found, &err), -ESRCH);
	assert_int_equal(pid_namespace_find(0x7ffffff0, 1, &found, &err), -ESRCH);
	assert_string_equal(err.text, "there is no process 2147483632");
	assert_int_equal(pid_namespace_own(0x7ffffff0, &own), -ESRCH);
	if (!*state)
		return;
	/* Ours, which nobody in there knows by that number. */
	assert_int_equal(pid_namespace_find(first[0], getpid(), &found, &err), -ESRCH);
	assert_non_null(strstr(err.text, "in the PID namespace of process"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_number_of_each_namespace),
		cmocka_unit_test(our_own_numbers),
		cmocka_unit_test(none_is_an_error),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
