/* A child whose threads count is stopped: the counters stand still, and its signals are not lost. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "target/stop.h"

#define THREADS 4

/* Shared with the child. */
static struct shared {
	_Atomic unsigned long count[THREADS + 1];
	_Atomic int signals;
} *shared;

static void on_signal(int signal)
{
	(void)signal;
	shared->signals++;
}

static void *count(void *counter)
{
	for (;;)
		(*(_Atomic unsigned long *)counter)++;
	return NULL;
}

static void run_child(void)
{
	pthread_t thread;

	signal(SIGUSR1, on_signal);
	for (int i = 0; i < THREADS; i++)
		pthread_create(&thread, NULL, count, &shared->count[i]);
	count(&shared->count[THREADS]);
}

/* Until every thread has counted on from where it is now. */
static void await_progress(void)
{
	for (int i = 0; i <= THREADS; i++) {
		unsigned long before = shared->count[i];

		while (shared->count[i] == before)
			usleep(100);
	}
}

static int start(void **state)
{
	pid_t pid;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid = fork();
	if (pid == 0)
		run_child();
	await_progress();
	*state = (void *)(long)pid;
	return pid > 0 ? 0 : -1;
}

static int end(void **state)
{
	kill((pid_t)(long)*state, SIGKILL);
	waitpid((pid_t)(long)*state, NULL, 0);
	munmap(shared, sizeof(*shared));
	return 0;
}

static void every_thread_stands_still(void **state)
{
	pid_t pid = (pid_t)(long)*state;
	unsigned long before[THREADS + 1];
	struct stop *stop;
	struct error err;

	for (int round = 0; round < 20; round++) {
		assert_int_equal(stop_process(pid, &stop, &err), 0);
		for (int i = 0; i <= THREADS; i++)
			before[i] = shared->count[i];
		usleep(2000);
		for (int i = 0; i <= THREADS; i++)
			assert_int_equal(shared->count[i], before[i]);
		stop_release(stop);
		await_progress();
	}
}

static void signals_arrive_afterwards(void **state)
{
	pid_t pid = (pid_t)(long)*state;
	struct stop *stop;
	struct error err;

	for (int i = 1; i <= 50; i++) {
		kill(pid, SIGUSR1); /* some are caught by the stop, on their way */
		assert_int_equal(stop_process(pid, &stop, &err), 0);
		stop_release(stop);
		while (shared->signals < i)
			usleep(100);
		assert_int_equal(shared->signals, i);
	}
}

static void a_stopped_job_stays_stopped(void **state)
{
	pid_t pid = (pid_t)(long)*state;
	unsigned long before;
	struct stop *stop;
	struct error err;
	int status;

	kill(pid, SIGSTOP);
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	assert_true(WIFSTOPPED(status));
	assert_int_equal(stop_process(pid, &stop, &err), 0);
	stop_release(stop);
	before = shared->count[0];
	usleep(2000);
	assert_int_equal(shared->count[0], before);
	kill(pid, SIGCONT);
	await_progress();
}

/* The tracer is killed while it holds the process. */
static void our_death_releases(void **state)
{
	pid_t pid = (pid_t)(long)*state, tracer;
	struct stop *stop;
	struct error err;
	int fds[2];
	char byte;

	assert_int_equal(pipe(fds), 0);
	tracer = fork();
	if (tracer == 0) {
		if (stop_process(pid, &stop, &err) == 0 && write(fds[1], "x", 1) == 1)
			pause();
		_exit(1);
	}
	assert_int_equal(read(fds[0], &byte, 1), 1);
	/* Meanwhile nobody else can have it. */
	assert_int_equal(stop_process(pid, &stop, &err), -EPERM);
	assert_non_null(strstr(err.text, "traces it already"));
	kill(tracer, SIGKILL);
	waitpid(tracer, NULL, 0);
	await_progress();
	close(fds[0]);
	close(fds[1]);
}

static void nobody_is_an_error(void **state)
{
	struct stop *stop;
	struct error err;
	pid_t pid = fork();

	(void)state;
	if (pid == 0)
		_exit(0);
	waitpid(pid, NULL, 0);
	assert_int_equal(stop_process(pid, &stop, &err), -ESRCH);
	stop_release(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_thread_stands_still),   cmocka_unit_test(signals_arrive_afterwards),
		cmocka_unit_test(a_stopped_job_stays_stopped), cmocka_unit_test(our_death_releases),
		cmocka_unit_test(nobody_is_an_error),
	};

	return cmocka_run_group_tests_name("stop", tests, start, end);
}
