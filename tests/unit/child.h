/* A child process that a test looks at: it does something, says so, and waits to be killed. */
#ifndef ALLOCTRACE_TESTS_CHILD_H
#define ALLOCTRACE_TESTS_CHILD_H

#include <unistd.h>

static inline pid_t child_start(void (*body)(void))
{
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		body();
		if (write(ready[1], "x", 1) == 1)
			pause();
		_exit(0);
	}
	assert_true(pid > 0);
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

#endif
