#include "command/watch.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/replace.h"
#include "base/units.h"
#include "command/command.h"
#include "command/options.h"
#include "command/session.h"
#include "report/snapshot.h"

/* Walks are no more frequent than this even where the heap is tiny. */
#define SAMPLE_INTERVAL_NS (NSEC_PER_SEC / 4)
/* How long the last report waits for a last heap state before it takes the one it has. */
#define LAST_SAMPLE_MS 3000

enum source {
	FROM_EVENTS,
	FROM_SAMPLES,
	FROM_SIGNALS,
	FROM_TARGET,
	FROM_INTERVAL,
	FROM_DURATION,
	FROM_STDOUT,
	SOURCE_CNT
};

struct watch {
	const struct options *options;
	struct watch_target *target;
	const struct log *log;
	struct session *session;
	int epoll;
	int fd[SOURCE_CNT]; /* −1: none */
	uint64_t reports;
	unsigned signals; /* received */
	bool behind;      /* events are left in the ring */
	bool over;
	bool target_over;
	const char *ended; /* why, in words */
	char ended_text[96];
	int output; /* 0, or what became of the last report: −errno */
	struct replace folded;
};

static void end(struct watch *w, const char *why)
{
	if (!w->over)
		w->ended = why;
	w->over = true;
}

static void report(struct watch *w, bool final)
{
	struct snapshot snapshot;

	session_snapshot(w->session, final, w->ended, &snapshot);
	w->output = w->options->json ? report_json(stdout, &snapshot)
				     : report_text(stdout, &snapshot, isatty(STDOUT_FILENO));
	session_shown(w->session);
	if (!w->output && fflush(stdout))
		w->output = -errno;
	w->reports++;
	if (w->output)
		end(w, "the output was closed");
}

/* The last report, and the file, which is written also when nobody reads the reports any more. */
static int finish(struct watch *w)
{
	struct snapshot snapshot;
	int rc;

	if (!w->output)
		report(w, true);
	if (!w->folded.file)
		return 0;
	session_snapshot(w->session, true, w->ended, &snapshot);
	rc = report_folded(w->folded.file, &snapshot, w->options->weight);
	session_shown(w->session);
	rc = replace_commit(&w->folded) ?: rc;
	if (rc)
		log_warn(w->log, "cannot write %s: %s", w->options->folded, strerror(-rc));
	return rc;
}

static void consume_events(struct watch *w)
{
	if (w->target->tracer)
		w->behind = tracer_poll(w->target->tracer, session_event, w->session) >= TRACER_POLL_MAX;
}

static void on_events(struct watch *w)
{
	consume_events(w);
	session_tick(w->session);
}

/* What happened before the reading is booked before it is compared: records may wait in the ring. */
static void on_sample(struct watch *w)
{
	consume_events(w);
	session_sample(w->session);
}

/* A child of ours decides itself what a signal means; a second one ends the watch whatever it does. */
static void on_signal(struct watch *w)
{
	struct signalfd_siginfo info;

	if (read(w->fd[FROM_SIGNALS], &info, sizeof(info)) != sizeof(info))
		return;
	w->signals++;
	if (w->target->is_child && w->signals == 1) {
		/* From the terminal it reached the child too. */
		if (info.ssi_code != SI_KERNEL)
			kill(w->target->process->pid, (int)info.ssi_signo);
		return;
	}
	end(w, info.ssi_signo == SIGINT ? "interrupted" : "terminated");
}

static void on_target(struct watch *w)
{
	const char *how;

	consume_events(w);
	how = session_target_end(w->session);
	snprintf(w->ended_text, sizeof(w->ended_text), "the target %s", how ? how : "ended");
	w->target_over = true;
	end(w, w->ended_text);
}

static void on_interval(struct watch *w)
{
	uint64_t ticks;

	if (read(w->fd[FROM_INTERVAL], &ticks, sizeof(ticks)) != sizeof(ticks))
		return;
	consume_events(w);
	if (w->options->count && w->reports + 1 >= w->options->count)
		end(w, "the last of the summaries asked for");
	else
		report(w, false);
}

static void on_duration(struct watch *w)
{
	end(w, "the duration is over");
}

/* Nobody reads any more: known at once, not only at the next report. */
static void on_stdout(struct watch *w)
{
	w->output = -EPIPE;
	end(w, "the output was closed");
}

static int timer(uint64_t ns, bool repeat)
{
	struct itimerspec spec = {0};
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

	spec.it_value.tv_sec = (time_t)(ns / NSEC_PER_SEC);
	spec.it_value.tv_nsec = (long)(ns % NSEC_PER_SEC);
	if (repeat)
		spec.it_interval = spec.it_value;
	if (fd >= 0)
		timerfd_settime(fd, 0, &spec, NULL);
	return fd;
}

static int listen_to(struct watch *w, enum source source, int fd, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.u32 = source};

	w->fd[source] = fd;
	return epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &ev) ? -errno : 0;
}

static int open_sources(struct watch *w, int signal_fd)
{
	int rc;

	w->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (w->epoll < 0)
		return -errno;
	rc = listen_to(w, FROM_SAMPLES, session_sample_fd(w->session), EPOLLIN);
	rc = rc ?: listen_to(w, FROM_SIGNALS, signal_fd, EPOLLIN);
	rc = rc ?: listen_to(w, FROM_TARGET, w->target->process->pidfd, EPOLLIN);
	rc = rc ?: listen_to(w, FROM_INTERVAL, timer(w->options->interval_ns, true), EPOLLIN);
	if (!rc && w->target->tracer)
		rc = listen_to(w, FROM_EVENTS, tracer_fd(w->target->tracer), EPOLLIN | EPOLLET);
	if (!rc && w->options->duration_ns)
		rc = listen_to(w, FROM_DURATION, timer(w->options->duration_ns, false), EPOLLIN);
	listen_to(w, FROM_STDOUT, STDOUT_FILENO,
		  0); /* a regular file cannot be listened to, and need not be */
	return rc;
}

static void close_sources(struct watch *w)
{
	if (w->fd[FROM_INTERVAL] >= 0)
		close(w->fd[FROM_INTERVAL]);
	if (w->fd[FROM_DURATION] >= 0)
		close(w->fd[FROM_DURATION]);
	if (w->epoll >= 0)
		close(w->epoll);
}

static void wait_once(struct watch *w, int timeout_ms)
{
	static void (*const on[SOURCE_CNT])(struct watch * w) = {
		[FROM_EVENTS] = on_events, [FROM_SAMPLES] = on_sample,    [FROM_SIGNALS] = on_signal,
		[FROM_TARGET] = on_target, [FROM_INTERVAL] = on_interval, [FROM_DURATION] = on_duration,
		[FROM_STDOUT] = on_stdout,
	};
	struct epoll_event ready[SOURCE_CNT];
	bool busy = session_work(w->session) || w->behind;
	int cnt = epoll_wait(w->epoll, ready, SOURCE_CNT, busy ? 0 : timeout_ms);

	for (int i = 0; i < cnt; i++)
		on[ready[i].data.u32](w);
	if (w->behind)
		on_events(w);
}

/* The last report deserves a fresh heap state, within reason: a second signal cuts the wait short. */
static void wait_for_last_sample(struct watch *w)
{
	uint64_t deadline = clock_monotonic_ns() + LAST_SAMPLE_MS * 1000000ULL;
	unsigned signals = w->signals;

	epoll_ctl(w->epoll, EPOLL_CTL_DEL, w->fd[FROM_INTERVAL], NULL);
	if (w->fd[FROM_DURATION] >= 0)
		epoll_ctl(w->epoll, EPOLL_CTL_DEL, w->fd[FROM_DURATION], NULL);
	session_hurry(w->session);
	while (!session_is_current(w->session) && !w->target_over && w->signals == signals) {
		uint64_t now = clock_monotonic_ns();

		if (now >= deadline)
			break;
		wait_once(w, (int)((deadline - now) / 1000000) + 1);
	}
}

int watch_block_signals(void)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, NULL))
		return -errno;
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

/* By what the machine has, if nobody said: an eighth of its memory, 1 GiB at most. */
static uint64_t memory_limit(const struct options *options)
{
	uint64_t has = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);

	if (options->max_memory)
		return options->max_memory;
	return has / 8 < GIB ? has / 8 : GIB;
}

static struct session_options session_options(const struct options *options, const struct log *log)
{
	return (struct session_options){
		.window = {.retained_min = options->retained_min, .min_ns = options->window_min_ns},
		.churn_min = options->churn_min,
		.native = options->native,
		.sampler =
			{
				.budget = options->walk_budget / 100,
				.interval_ns = SAMPLE_INTERVAL_NS,
				.want_pages = !options->no_alloc,
			},
		.want_allocs = !options->no_alloc,
		.log = log,
		.allocs =
			{
				.max_memory = memory_limit(options),
				.size_min = options->size_min,
				.size_max = options->size_max,
				.sample_bytes = options->stacks.sample_bytes,
				.free_sample_bytes = options->stacks.free_sample_bytes,
				.older_ns = options->older_ns,
				.top = options->top,
				.max_share = options->max_overhead / 100,
				.survey_share = options->walk_budget / 100,
			},
	};
}

struct tracer_options watch_tracer_options(const struct options *options)
{
	return (struct tracer_options){
		.allocs = !options->no_alloc,
		.stacks = options->stacks.wanted,
		.sample_bytes = options->stacks.sample_bytes,
		.free_sample_bytes = options->stacks.free_sample_bytes,
		.size_min = options->size_min,
		.size_max = options->size_max,
	};
}

/* A file that cannot be written is said before anything is done to the target. */
static int open_folded(struct watch *w)
{
	const char *name = w->options->folded;
	int rc = name ? replace_begin(&w->folded, name) : 0;

	if (rc)
		log_warn(w->log, "cannot write %s: %s", name, strerror(-rc));
	return rc;
}

int watch(const struct options *options, struct watch_target *target, int signal_fd, const struct log *log)
{
	const struct session_options wanted = session_options(options, log);
	struct watch w = {.options = options, .target = target, .log = log, .epoll = -1};
	struct error err;
	int rc;

	for (int i = 0; i < SOURCE_CNT; i++)
		w.fd[i] = -1;
	rc = open_folded(&w);
	if (rc)
		return STATUS_FAILED;
	rc = session_open(&wanted, target->process, target->tracer, &w.session, &err);
	if (rc) {
		log_warn(log, "%s", err.text);
		replace_abandon(&w.folded);
		return STATUS_FAILED;
	}
	rc = open_sources(&w, signal_fd);
	if (rc) {
		log_warn(log, "cannot wait for events: %s", strerror(-rc));
		goto out;
	}
	while (!w.over)
		wait_once(&w, -1);
	if (!w.target_over && !w.output)
		wait_for_last_sample(&w);
	consume_events(&w);
	rc = finish(&w);
out:
	replace_abandon(&w.folded);
	if (target->is_child && w.target_over)
		waitpid(target->process->pid, &target->wait_status, 0);
	close_sources(&w);
	session_close(w.session);
	return rc ? STATUS_FAILED : command_finish_output(w.output);
}
