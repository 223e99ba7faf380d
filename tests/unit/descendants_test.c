/* Children and grandchildren of our own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "target/descendants.h"

/* A child that has a child with a name made to mislead; both wait to be ended. The grandchild's PID too. */
static pid_t start_family(pid_t *grandchild)
{
	int tell[2];
	pid_t child;

	assert_int_equal(pipe(tell), 0);
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		pid_t pid = fork();

		if (pid) {
			(void)!write(tell[1], &pid, sizeof(pid));
		} else {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			prctl(PR_SET_NAME, "a) S 1 (b");
		}
		for (;;)
			pause();
	}
	assert_int_equal(read(tell[0], grandchild, sizeof(*grandchild)), sizeof(*grandchild));
	close(tell[0]);
	close(tell[1]);
	return child;
}

static void end_family(pid_t child, pid_t grandchild)
{
	kill(grandchild, SIGKILL);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

static bool has(const pid_t *v, size_t cnt, pid_t pid)
{
	size_t found = 0;

	for (size_t i = 0; i < cnt; i++)
		found += v[i] == pid;
	return found == 1;
}

static void children_and_theirs(void **state)
{
	pid_t grandchild, child = start_family(&grandchild), self = getpid(), *found;
	struct error err;
	size_t cnt;

	(void)state;
	assert_int_equal(descendants_find(&self, 1, &found, &cnt, &err), 0);
	assert_int_equal(cnt, 2);
	assert_true(has(found, cnt, child) && has(found, cnt, grandchild));
	free(found);
	end_family(child, grandchild);
}

static void those_given_are_not_found_again(void **state)
{
	pid_t grandchild, child = start_family(&grandchild), *found;
	struct error err;
	size_t cnt;

	(void)state;
	assert_int_equal(descendants_find((const pid_t[]){getpid(), child}, 2, &found, &cnt, &err), 0);
	assert_true(cnt == 1 && found[0] == grandchild);
	free(found);
	end_family(child, grandchild);
}

static void none(void **state)
{
	pid_t grandchild, child = start_family(&grandchild), *found;
	struct error err;
	size_t cnt;

	(void)state;
	assert_int_equal(descendants_find(&grandchild, 1, &found, &cnt, &err), 0);
	assert_true(cnt == 0 && !found);
	assert_int_equal(descendants_find((const pid_t[]){0x7ffffffe}, 1, &found, &cnt, &err), 0);
	assert_true(cnt == 0 && !found);
	assert_int_equal(descendants_find(NULL, 0, &found, &cnt, &err), 0);
	assert_true(cnt == 0 && !found);
	end_family(child, grandchild);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(children_and_theirs),
		cmocka_unit_test(those_given_are_not_found_again),
		cmocka_unit_test(none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
