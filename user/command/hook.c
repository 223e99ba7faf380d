#include "command/hook.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/printable.h"
#include "base/units.h"

#define KILL_SECONDS 5 /* from SIGTERM to SIGKILL */
#define VALUE_MAX 4096
#define READY_MAX 16

/* What runs and what waits for one process; neither: the slot is free. */
struct job {
	pid_t about;
	char **waiting;   /* variables, NULL-ended; NULL: nothing waits */
	uint64_t order;   /* of what waits: the lowest is next */
	uint64_t skipped; /* since the last one was started */
	pid_t child;      /* 0: none runs */
	int pidfd;
	uint64_t started_ns;
	bool warned; /* has been sent SIGTERM */
};

struct hook {
	struct hook_options options;
	const struct log *log;
	int epoll;
	struct job *jobs;
	size_t cnt, cap;
	size_t running;
	uint64_t order, skipped;
};

struct hook *hook_new(const struct hook_options *options, const struct log *log)
{
	struct hook *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	*h = (struct hook){.options = *options, .log = log};
	h->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (h->epoll >= 0)
		return h;
	free(h);
	return NULL;
}

static void free_variables(char **v)
{
	for (char **at = v; at && *at; at++)
		free(*at);
	free(v);
}

void hook_free(struct hook *h)
{
	if (!h)
		return;
	for (size_t i = 0; i < h->cnt; i++) {
		struct job *job = &h->jobs[i];

		h->skipped += job->waiting != NULL;
		free_variables(job->waiting);
		if (!job->child)
			continue;
		log_warn(h->log,
			 "the command of %s for process %d still runs, as process %d: it is left alone",
			 h->options.option, job->about, job->child);
		close(job->pidfd);
	}
	if (h->skipped)
		log_warn(h->log,
			 "the command of %s was not run for %" PRIu64 " events: it took too long for them",
			 h->options.option, h->skipped);
	close(h->epoll);
	free(h->jobs);
	free(h);
}

int hook_fd(const struct hook *h)
{
	return h->epoll;
}

/* Only what may be called between fork and exec in a program with threads. */
static _Noreturn void child(const struct hook *h, char *const *environment)
{
	char *const argv[] = {"sh", "-c", (char *)h->options.command, NULL};
	struct rlimit limit;
	sigset_t none;
	int null;

	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	null = open("/dev/null", O_RDONLY);
	if (null > STDIN_FILENO)
		dup2(null, STDIN_FILENO);
	dup2(STDERR_FILENO, STDOUT_FILENO);
	close_range(STDERR_FILENO + 1, ~0U, 0);
	if (!getrlimit(RLIMIT_NOFILE, &limit)) {
		limit.rlim_cur = h->options.files < limit.rlim_max ? h->options.files : limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	execve("/bin/sh", argv, environment);
	_exit(127);
}

static bool is_among(const char *variable, char *const *v)
{
	size_t len = strcspn(variable, "=") + 1;

	for (; *v; v++)
		if (!strncmp(*v, variable, len))
			return true;
	return false;
}

/* Our own environment, but for what the event says. The strings stay whose they are. NULL: no memory. */
static char **whole_environment(char *const *variables)
{
	size_t own = 0, added = 0, cnt = 0;
	char **all;

	while (environ[own])
		own++;
	while (variables[added])
		added++;
	all = calloc(own + added + 1, sizeof(*all));
	for (size_t i = 0; all && i < own; i++)
		if (!is_among(environ[i], variables))
			all[cnt++] = environ[i];
	if (all)
		memcpy(all + cnt, variables, added * sizeof(*all));
	return all;
}

/* Its end is told by the descriptor; a kernel that has none left leaves it to the next tick. */
static void listen_to(struct hook *h, struct job *job)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.u64 = (uint64_t)(job - h->jobs)};

	job->pidfd = pidfd_open(job->child, 0);
	if (job->pidfd >= 0)
		epoll_ctl(h->epoll, EPOLL_CTL_ADD, job->pidfd, &ev);
}

static void start(struct hook *h, struct job *job)
{
	char **environment;
	int rc = -ENOMEM;

	environment = whole_environment(job->waiting);
	if (environment) {
		job->child = fork();
		if (!job->child)
			child(h, environment);
		rc = job->child < 0 ? -errno : 0;
	}
	free(environment);
	free_variables(job->waiting);
	job->waiting = NULL;
	job->skipped = 0;
	if (rc) {
		log_warn(h->log, "cannot run the command of %s for process %d: %s", h->options.option,
			 job->about, strerror(-rc));
		job->child = 0;
		return;
	}
	job->started_ns = clock_monotonic_ns();
	job->warned = false;
	h->running++;
	listen_to(h, job);
}

/* Those that have waited longest, as long as there is room. */
static void start_waiting(struct hook *h)
{
	struct job *next;

	do {
		next = NULL;
		for (size_t i = 0; i < h->cnt; i++) {
			struct job *job = &h->jobs[i];

			if (job->waiting && !job->child && (!next || job->order < next->order))
				next = job;
		}
		if (next && h->running < HOOK_AT_ONCE)
			start(h, next);
	} while (next && h->running < HOOK_AT_ONCE);
}

static bool is_free(const struct job *job)
{
	return !job->child && !job->waiting;
}

/* The process's own, or a free one. NULL: no memory. */
static struct job *job_of(struct hook *h, pid_t pid)
{
	struct job *unused = NULL, *jobs;

	for (size_t i = 0; i < h->cnt; i++) {
		if (!is_free(&h->jobs[i]) && h->jobs[i].about == pid)
			return &h->jobs[i];
		if (is_free(&h->jobs[i]))
			unused = &h->jobs[i];
	}
	if (!unused && h->cnt == h->cap) {
		jobs = realloc(h->jobs, (h->cap + 64) * sizeof(*jobs));
		if (!jobs)
			return NULL;
		h->jobs = jobs;
		h->cap += 64;
	}
	if (!unused)
		unused = &h->jobs[h->cnt++];
	*unused = (struct job){.about = pid, .pidfd = -1};
	return unused;
}

static char *variable(const char *name, const char *value)
{
	char printed[VALUE_MAX], *text;

	if (asprintf(&text, "%s=%s", name, printable(printed, sizeof(printed), value ? value : "")) < 0)
		return NULL;
	return text;
}

/* "NAME=VALUE" of each, and how many were skipped. NULL: no memory. */
static char **copy_variables(const struct hook_variable *v, size_t cnt, uint64_t skipped)
{
	char **copy = calloc(cnt + 2, sizeof(*copy)), number[24];
	bool failed = !copy;

	snprintf(number, sizeof(number), "%" PRIu64, skipped);
	for (size_t i = 0; !failed && i <= cnt; i++) {
		copy[i] = i < cnt ? variable(v[i].name, v[i].value) : variable(HOOK_SKIPPED, number);
		failed = !copy[i];
	}
	if (!failed)
		return copy;
	free_variables(copy);
	return NULL;
}

/* The newest is what matters: it says how things are now. */
static void skip_waiting(struct hook *h, struct job *job)
{
	if (!job->waiting)
		return;
	free_variables(job->waiting);
	job->waiting = NULL;
	job->skipped++;
	if (!h->skipped++)
		log_warn(h->log, "the command of %s still runs for process %d: an event between is skipped",
			 h->options.option, job->about);
}

void hook_fire(struct hook *h, pid_t pid, const struct hook_variable *variables, size_t cnt)
{
	struct job *job = job_of(h, pid);

	if (job) {
		skip_waiting(h, job);
		job->waiting = copy_variables(variables, cnt, job->skipped);
		job->order = h->order++;
	}
	if (!job || !job->waiting)
		log_warn(h->log, "cannot run the command of %s for process %d: %s", h->options.option, pid,
			 strerror(ENOMEM));
	start_waiting(h);
}

static void say_how_it_ended(const struct hook *h, const struct job *job, int status)
{
	if (job->warned)
		log_warn(h->log, "the command of %s for process %d took more than %u s and was ended",
			 h->options.option, job->about, h->options.seconds);
	else if (WIFSIGNALED(status))
		log_warn(h->log, "the command of %s for process %d was killed by signal %d (%s)",
			 h->options.option, job->about, WTERMSIG(status), strsignal(WTERMSIG(status)));
	else if (WEXITSTATUS(status))
		log_warn(h->log, "the command of %s for process %d exited with status %d", h->options.option,
			 job->about, WEXITSTATUS(status));
}

static void reap(struct hook *h, struct job *job)
{
	int status;

	if (!job->child || waitpid(job->child, &status, WNOHANG) != job->child)
		return;
	say_how_it_ended(h, job, status);
	if (job->pidfd >= 0)
		close(job->pidfd);
	job->child = 0;
	h->running--;
}

void hook_act(struct hook *h)
{
	struct epoll_event ready[READY_MAX];
	int cnt = epoll_wait(h->epoll, ready, READY_MAX, 0);

	for (int i = 0; i < cnt; i++)
		reap(h, &h->jobs[ready[i].data.u64]);
	start_waiting(h);
}

void hook_tick(struct hook *h)
{
	uint64_t now = clock_monotonic_ns();

	for (size_t i = 0; i < h->cnt; i++) {
		struct job *job = &h->jobs[i];
		uint64_t seconds = job->child ? (now - job->started_ns) / NSEC_PER_SEC : 0;

		reap(h, job);
		if (!job->child || seconds < h->options.seconds)
			continue;
		if (!job->warned || seconds >= h->options.seconds + KILL_SECONDS)
			kill(-job->child, job->warned ? SIGKILL : SIGTERM);
		job->warned = true;
	}
	start_waiting(h);
}

bool hook_is_idle(const struct hook *h)
{
	for (size_t i = 0; i < h->cnt; i++)
		if (!is_free(&h->jobs[i]))
			return false;
	return true;
}
