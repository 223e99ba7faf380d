#include "target/stop.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>

#include "base/clock.h"
#include "base/units.h"

/* A process that makes threads faster than we find them is given up after so many looks at its list. */
#define SCANS_MAX 1000
#define WAIT_MAX_NS NSEC_PER_SEC
#define WAIT_STEP_NS 50000

struct thread {
	pid_t tid;
	bool stopped;
	int signal; /* caught on its way to the thread: passed on at the release */
};

struct stop {
	pid_t pid;
	struct thread *threads;
	size_t cnt, capacity;
	uint64_t passed; /* sum of the tids that the last look passed over */
};

static bool is_known(const struct stop *s, pid_t tid)
{
	for (size_t i = 0; i < s->cnt; i++) {
		if (s->threads[i].tid == tid)
			return true;
	}
	return false;
}

static int remember(struct stop *s, pid_t tid)
{
	if (s->cnt == s->capacity) {
		size_t capacity = s->capacity ? 2 * s->capacity : 64;
		struct thread *threads = reallocarray(s->threads, capacity, sizeof(*threads));

		if (!threads)
			return -ENOMEM;
		s->threads = threads;
		s->capacity = capacity;
	}
	s->threads[s->cnt++] = (struct thread){.tid = tid};
	return 0;
}

static void forget(struct stop *s, size_t i)
{
	s->threads[i] = s->threads[--s->cnt];
}

/* A thread on its way out is refused like a forbidden one (EPERM), but its state says so. */
static bool is_ending(pid_t pid, pid_t tid)
{
	char path[64], text[256], *state;
	size_t len;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", pid, tid);
	f = fopen(path, "re");
	if (!f)
		return true;
	len = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[len] = '\0';
	state = strrchr(text, ')'); /* comm may hold parentheses too */
	return !state || !strncmp(state, ") Z", 3) || !strncmp(state, ") X", 3);
}

/* Begins to stop one thread; ending ones are passed over, and noted. */
static int seize(struct stop *s, pid_t tid)
{
	int result = remember(s, tid);

	if (result != 0)
		return result;
	if (ptrace(PTRACE_SEIZE, tid, NULL, NULL) != 0) {
		result = -errno;
		s->cnt--;
		s->passed += (uint64_t)tid;
		return result == -ESRCH || is_ending(s->pid, tid) ? 0 : result;
	}
	ptrace(PTRACE_INTERRUPT, tid, NULL, NULL); /* fails only for a thread that is gone: await sees that */
	return 0;
}

/* Seizes the threads that are not yet ours; *fresh counts them. */
static int scan(struct stop *s, size_t *fresh)
{
	char path[64];
	struct dirent *entry;
	int result = 0;
	size_t before = s->cnt;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", s->pid);
	dir = opendir(path);
	if (!dir)
		return -ESRCH;
	s->passed = 0;
	while (result == 0 && (entry = readdir(dir))) {
		pid_t tid = (pid_t)strtol(entry->d_name, NULL, 10);

		if (tid > 0 && !is_known(s, tid))
			result = seize(s, tid);
	}
	closedir(dir);
	*fresh = s->cnt - before;
	return result;
}

/* Takes what waitpid(2) has to say of a thread. False: the thread has ended. */
static bool take_status(struct thread *t)
{
	int status;
	pid_t got = waitpid(t->tid, &status, __WALL | WNOHANG);

	if (got == 0)
		return true;
	if (got < 0 || !WIFSTOPPED(status))
		return false;
	t->stopped = true;
	/* PTRACE_EVENT_STOP is our interrupt or a job-control stop; what has no event is a signal. */
	t->signal = status >> 16 ? 0 : WSTOPSIG(status);
	return true;
}

/* Until every seized thread has stopped (or ended). */
static int await(struct stop *s)
{
	uint64_t deadline = clock_monotonic_ns() + WAIT_MAX_NS;
	size_t running;

	for (;;) {
		running = 0;
		for (size_t i = 0; i < s->cnt;) {
			if (!s->threads[i].stopped && !take_status(&s->threads[i])) {
				forget(s, i);
				continue;
			}
			running += !s->threads[i++].stopped;
		}
		if (!running)
			return 0;
		if (clock_monotonic_ns() > deadline)
			return -ETIMEDOUT;
		nanosleep(&(struct timespec){.tv_nsec = WAIT_STEP_NS}, NULL);
	}
}

/*
 * Stopped threads start no others: a look that finds no new one after all have stopped is the
 * last. One that was ending may have started another behind our back, unless it was so already
 * at the look before (a main thread that has ended stays in the list).
 */
static int stop_threads(struct stop *s)
{
	uint64_t passed = 0;
	size_t fresh;
	int result;

	for (unsigned i = 0; i < SCANS_MAX; i++) {
		result = scan(s, &fresh);
		if (result == 0)
			result = await(s);
		if (result != 0)
			return result;
		if (!fresh && s->passed == passed)
			return s->cnt ? 0 : -ESRCH;
		passed = s->passed;
	}
	return -EAGAIN;
}

static pid_t tracer_of(pid_t pid)
{
	char path[64], line[128];
	int tracer = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "TracerPid: %d", &tracer) == 1)
			break;
	}
	if (f)
		fclose(f);
	return tracer;
}

static int explain(pid_t pid, int code, struct error *err)
{
	pid_t tracer = tracer_of(pid);

	switch (code) {
	case -EPERM:
		if (tracer)
			return error_set(err, code, "cannot stop process %d: process %d traces it already",
					 pid, tracer);
		return error_set(err, code, "no permission to stop process %d: run as its user, or with sudo",
				 pid);
	case -ESRCH:
		return error_set(err, code, "process %d has ended", pid);
	case -ETIMEDOUT:
		return error_set(
			err, code,
			"process %d does not stop: a thread is busy in the kernel; try without --stop", pid);
	case -EAGAIN:
		return error_set(err, code, "process %d starts threads faster than they can be stopped", pid);
	default:
		return error_set(err, code, "cannot stop process %d: %s", pid, strerror(-code));
	}
}

int stop_process(pid_t pid, struct stop **stop, struct error *err)
{
	struct stop *s = calloc(1, sizeof(*s));
	int result;

	if (!s)
		return explain(pid, -ENOMEM, err);
	s->pid = pid;
	result = stop_threads(s);
	if (result != 0) {
		explain(pid, result, err);
		stop_release(s);
		return result;
	}
	*stop = s;
	return 0;
}

void stop_release(struct stop *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->cnt; i++) {
		/* Fails for a thread that has not stopped yet: the kernel frees that one when we end. */
		ptrace(PTRACE_DETACH, s->threads[i].tid, NULL, (void *)(long)s->threads[i].signal);
	}
	free(s->threads);
	free(s);
}
