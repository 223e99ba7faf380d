/* A child whose threads count is stopped: the counters stand still, and its signals are not lost. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "target/stop.h"

#define THREADS 4

/* Shared with the child. */
static struct shared {
	_Atomic unsigned long count[THREADS + 1];
	_Atomic unsigned long generations;
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

static pthread_attr_t detached;

/* A thread that does nothing but start its successor. */
static void *succeed(void *arg)
{
	pthread_t thread;

	shared->generations++;
	while (pthread_create(&thread, &detached, succeed, NULL))
		;
	return arg;
}

static void run_child(void)
{
	pthread_t thread;

	signal(SIGRTMIN, on_signal);
	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	pthread_create(&thread, &detached, succeed, NULL);
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
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		run_child();
	}
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
	unsigned long before[THREADS + 1], generations;
	struct stop *stop;
	struct error err;

	for (int round = 0; round < 20; round++) {
		assert_int_equal(stop_process(pid, &stop, &err), 0);
		generations = shared->generations;
		for (int i = 0; i <= THREADS; i++)
			before[i] = shared->count[i];
		usleep(2000);
		assert_int_equal(shared->generations, generations);
		for (int i = 0; i <= THREADS; i++)
			assert_int_equal(shared->count[i], before[i]);
		stop_release(stop);
		await_progress();
	}
}

/* Queued signals are counted one by one; some are caught by a stop while on their way to a thread. */
static void signals_arrive_afterwards(void **state)
{
	enum { SIGNALS = 5000, ON_THEIR_WAY = 64 };
	pid_t pid = (pid_t)(long)*state, sender = fork();
	struct stop *stop;
	struct error err;

	if (sender == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* a failed test must not leave it trying for ever */
		for (int i = 0; i < SIGNALS;) {
			/* The queue is the user's, not the process's: a full one hurts other programs. */
			if (i - shared->signals > ON_THEIR_WAY)
				sched_yield();
			else
				i += sigqueue(pid, SIGRTMIN, (union sigval){0}) == 0;
		}
		_exit(0);
	}
	while (waitpid(sender, NULL, WNOHANG) == 0) {
		assert_int_equal(stop_process(pid, &stop, &err), 0);
		stop_release(stop);
	}
	for (int waits = 0; shared->signals < SIGNALS && waits < 20000; waits++)
		usleep(100);
	assert_int_equal(shared->signals, SIGNALS);
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
