#include "command/watch.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file_limit.h"
#include "base/units.h"
#include "command/alerts.h"
#include "command/camera.h"
#include "command/command.h"
#include "command/group.h"
#include "command/mark_server.h"
#include "command/mark_wire.h"
#include "command/naming.h"
#include "command/options.h"
#include "command/watch_options.h"
#include "event/row.h"

/* How long the last report waits for a last heap state before it takes the one it has. */
#define LAST_SAMPLE_MS 3000
/* How often what has no event is looked at: a choice that may grow, the cgroup. */
#define LOOK_INTERVAL_NS NSEC_PER_SEC

enum source {
	FROM_EVENTS,
	FROM_PROCESSES,
	FROM_SIGNALS,
	FROM_INTERVAL,
	FROM_DURATION,
	FROM_LOOK,
	FROM_STDOUT,
	FROM_AUDIENCE,
	FROM_MARKS,
	FROM_ALERTS,
	SOURCE_CNT
};

struct watch {
	const struct options *options;
	struct watch_target *target;
	const struct log *log;
	struct naming naming;
	struct group *group;
	struct camera *camera;
	const struct audience *audience;
	void *listener;            /* its self */
	struct mark_server *marks; /* NULL: none are heard */
	struct alerts *alerts;     /* NULL: not asked for */
	int epoll;
	int fd[SOURCE_CNT]; /* −1: none */
	uint64_t reports;
	unsigned signals; /* received */
	bool behind;      /* events are left in the ring */
	bool over;
	bool target_over;  /* nobody lives any more */
	bool left;         /* the audience did */
	const char *ended; /* why, in words */
	char ended_text[128];
	int output; /* 0, or what became of the last report: −errno */
};

static void end(struct watch *w, const char *why)
{
	if (!w->over)
		w->ended = why;
	w->over = true;
}

static void report(struct watch *w)
{
	struct picture picture;

	camera_take(w->camera, w->group, PICTURE_INTERVAL, NULL, &picture);
	w->output = w->audience->picture(w->listener, &picture);
	w->reports++;
	if (w->output)
		end(w, "the output was closed");
}

/* Those that have ended, while others go on. */
static void report_ends(struct watch *w)
{
	struct picture picture;

	camera_take(w->camera, w->group, PICTURE_ENDS, NULL, &picture);
	w->output = w->audience->picture(w->listener, &picture);
	if (w->alerts)
		alerts_look(w->alerts, w->group);
	group_bury(w->group);
}

/* Files are written also when nobody reads the reports any more. */
static int report_last(struct watch *w)
{
	struct picture picture;

	camera_take(w->camera, w->group, PICTURE_FINAL, w->ended, &picture);
	if (!w->output)
		w->output = w->audience->picture(w->listener, &picture);
	return w->audience->finish ? w->audience->finish(w->listener, &picture) : 0;
}

/* What a recording keeps of an event, when the group knows its stack. */
static void keep_event(struct watch *w, const struct event *ev)
{
	const struct traced_function *function = tracer_function(w->target->tracer, ev->head->func);
	struct event_row row;

	if (!event_row_of(ev, &row))
		return;
	row.function = function ? function->symbol : NULL;
	row.stack = group_stack(w->group, row.pid, row.stack_id);
	w->audience->event(w->listener, &row);
}

static void on_event(const struct event *ev, void *watch)
{
	struct watch *w = watch;
	bool kept = w->options->events && w->audience->event && group_has(w->group, (pid_t)ev->head->tgid);

	group_event(ev, w->group);
	if (kept)
		keep_event(w, ev);
}

static void consume_events(struct watch *w)
{
	if (w->target->tracer)
		w->behind = tracer_poll(w->target->tracer, on_event, w) >= TRACER_POLL_MAX;
}

/* The first process is the one that a command line without others means. */
static void end_with_target(struct watch *w)
{
	const char *how = group_end_of(w->group, w->target->pid);

	if (group_ever(w->group) > 1 && !w->target->is_child)
		snprintf(w->ended_text, sizeof(w->ended_text), "all %llu processes have ended",
			 (unsigned long long)group_ever(w->group));
	else
		snprintf(w->ended_text, sizeof(w->ended_text), "the target %s", how ? how : "ended");
	w->target_over = true;
	end(w, w->ended_text);
}

/*
 * Those that have ended are reported at once, unless it is all over: then the last report does it. Before
 * any other report, where they would come as final too.
 */
static void look_for_ends(struct watch *w)
{
	if (w->over || !group_has_dead(w->group))
		return;
	if (w->target->is_child ? !group_has(w->group, w->target->pid)
				: !group_living(w->group) && !choice_grows(w->target->choice))
		end_with_target(w);
	else
		report_ends(w);
	if (w->output)
		end(w, "the output was closed");
}

static void on_events(struct watch *w)
{
	consume_events(w);
	group_tick(w->group);
	look_for_ends(w);
}

/* All that waits in the ring now: no more than it holds, however fast more comes. */
static void catch_up(struct watch *w)
{
	unsigned polls = 0;

	do
		consume_events(w);
	while (w->behind && ++polls < TRACER_RING_POLLS);
}

/* What happened before a reading is booked before it is compared: records may wait in the ring. */
static void on_processes(struct watch *w)
{
	catch_up(w);
	group_act(w->group);
	look_for_ends(w);
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
			kill(w->target->pid, (int)info.ssi_signo);
		return;
	}
	end(w, info.ssi_signo == SIGINT ? "interrupted" : "terminated");
}

static void on_interval(struct watch *w)
{
	uint64_t ticks;

	if (read(w->fd[FROM_INTERVAL], &ticks, sizeof(ticks)) != sizeof(ticks))
		return;
	consume_events(w);
	look_for_ends(w);
	if (w->over)
		return;
	if (w->options->count && w->reports + 1 >= w->options->count)
		end(w, "the last of the summaries asked for");
	else
		report(w);
}

static void on_duration(struct watch *w)
{
	end(w, "the duration is over");
}

static void on_look(struct watch *w)
{
	uint64_t ticks;

	if (read(w->fd[FROM_LOOK], &ticks, sizeof(ticks)) != sizeof(ticks))
		return;
	camera_tick(w->camera);
	group_look(w->group);
	if (w->alerts)
		alerts_look(w->alerts, w->group);
	if (choice_grows(w->target->choice))
		group_add_chosen(w->group, w->target->choice);
}

static void on_marks(struct watch *w)
{
	consume_events(w);
	mark_server_act(w->marks, w->group);
}

static void on_alerts(struct watch *w)
{
	alerts_act(w->alerts);
}

/* Nobody reads any more: known at once, not only at the next report. */
static void on_stdout(struct watch *w)
{
	w->output = -EPIPE;
	end(w, "the output was closed");
}

static void on_audience(struct watch *w)
{
	enum audience_wish wish = w->audience->act(w->listener);

	if (wish == AUDIENCE_LEAVES) {
		w->left = true;
		end(w, NULL);
	} else if (wish == AUDIENCE_ASKS && !w->over) {
		consume_events(w);
		look_for_ends(w);
		if (!w->over)
			report(w);
	}
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
	rc = listen_to(w, FROM_PROCESSES, group_fd(w->group), EPOLLIN);
	rc = rc ?: listen_to(w, FROM_SIGNALS, signal_fd, EPOLLIN);
	rc = rc ?: listen_to(w, FROM_INTERVAL, timer(w->options->interval_ns, true), EPOLLIN);
	if (!rc && w->target->tracer)
		rc = listen_to(w, FROM_EVENTS, tracer_fd(w->target->tracer), EPOLLIN | EPOLLET);
	if (!rc && w->options->duration_ns)
		rc = listen_to(w, FROM_DURATION, timer(w->options->duration_ns, false), EPOLLIN);
	rc = rc ?: listen_to(w, FROM_LOOK, timer(LOOK_INTERVAL_NS, true), EPOLLIN);
	if (!rc && w->audience->fd)
		rc = listen_to(w, FROM_AUDIENCE, w->audience->fd(w->listener), EPOLLIN);
	if (!rc && w->alerts)
		rc = listen_to(w, FROM_ALERTS, alerts_fd(w->alerts), EPOLLIN);
	listen_to(w, FROM_STDOUT, STDOUT_FILENO,
		  0); /* a regular file cannot be listened to, and need not be */
	if (w->marks)
		rc = rc ?: listen_to(w, FROM_MARKS, mark_server_fd(w->marks), EPOLLIN);
	return rc;
}

static void close_sources(struct watch *w)
{
	static const enum source timers[] = {FROM_INTERVAL, FROM_DURATION, FROM_LOOK};

	for (size_t i = 0; i < sizeof(timers) / sizeof(timers[0]); i++)
		if (w->fd[timers[i]] >= 0)
			close(w->fd[timers[i]]);
	if (w->epoll >= 0)
		close(w->epoll);
}

static void wait_once(struct watch *w, int timeout_ms)
{
	static void (*const on[SOURCE_CNT])(struct watch * w) = {
		[FROM_EVENTS] = on_events,     [FROM_PROCESSES] = on_processes, [FROM_SIGNALS] = on_signal,
		[FROM_INTERVAL] = on_interval, [FROM_DURATION] = on_duration,   [FROM_LOOK] = on_look,
		[FROM_STDOUT] = on_stdout,     [FROM_AUDIENCE] = on_audience,   [FROM_MARKS] = on_marks,
		[FROM_ALERTS] = on_alerts,
	};
	struct epoll_event ready[SOURCE_CNT];
	bool busy = group_work(w->group) || w->behind;
	int cnt = epoll_wait(w->epoll, ready, SOURCE_CNT, busy ? 0 : timeout_ms);

	for (int i = 0; i < cnt; i++)
		on[ready[i].data.u32](w);
	if (w->behind)
		on_events(w);
	mark_server_settle(w->marks, w->group);
}

static void stop_timers(struct watch *w)
{
	static const enum source timers[] = {FROM_INTERVAL, FROM_DURATION, FROM_LOOK};

	for (size_t i = 0; i < sizeof(timers) / sizeof(timers[0]); i++)
		if (w->fd[timers[i]] >= 0)
			epoll_ctl(w->epoll, EPOLL_CTL_DEL, w->fd[timers[i]], NULL);
}

/* The last report deserves a fresh heap state, within reason: a second signal cuts the wait short. */
static void wait_for_last_sample(struct watch *w)
{
	uint64_t deadline = clock_monotonic_ns() + LAST_SAMPLE_MS * 1000000ULL;
	unsigned signals = w->signals;

	stop_timers(w);
	group_hurry(w->group);
	while (!group_is_current(w->group) && w->signals == signals) {
		uint64_t now = clock_monotonic_ns();

		if (now >= deadline)
			break;
		wait_once(w, (int)((deadline - now) / 1000000) + 1);
	}
}

/* A screen shows how it ended for as long as somebody looks at it. */
static void wait_for_audience(struct watch *w)
{
	unsigned signals = w->signals;

	if (!w->audience->act || !w->target_over)
		return;
	stop_timers(w);
	while (!w->left && !w->output && w->signals == signals)
		wait_once(w, -1);
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

/* Children that come while their parents are attached to are looked for once more; later ones are told of. */
static void add_chosen(struct watch *w)
{
	uint64_t before;

	do {
		before = group_ever(w->group);
		group_add_chosen(w->group, w->target->choice);
	} while (w->options->follow && group_ever(w->group) != before);
}

/* Who is chosen now: if it is one by its PID and cannot be watched, that is all there is to say. */
static int add_targets(struct watch *w)
{
	struct error err;
	int rc = 0;

	if (w->target->pid)
		rc = group_add(w->group, w->target->pid, &err);
	if (!rc && (!w->target->pid || w->options->follow))
		add_chosen(w);
	if (rc)
		log_warn(w->log, "%s", err.text);
	else if (!group_living(w->group) && !choice_grows(w->target->choice))
		rc = -ESRCH;
	return rc;
}

/* A name that is wrong is said at once; a library may still be loaded. */
static int check_marks(const struct watch *w)
{
	const struct mark_points *points = &w->options->marks;

	for (size_t i = 0; w->target->tracer && !w->target->is_child && i < points->cnt; i++) {
		const struct mark_point *point = &points->v[i];

		if (tracer_sees_mark(w->target->tracer, w->target->pid, point) != MARK_NO_SYMBOL)
			continue;
		log_warn(w->log,
			 "cannot mark calls of %s in process %d: there is no such function in the symbol "
			 "tables of %s",
			 point->given, w->target->pid, point->object[0] ? point->object : "its program");
		return -ENOENT;
	}
	return 0;
}

/* files: how many a command of the user's may have open. */
static int open_watch(struct watch *w, int signal_fd, rlim_t files)
{
	int rc = naming_start(&w->naming, w->log);
	const struct group_options wanted = watch_group_options(w->options, &w->naming);

	if (!rc && w->options->on_window) {
		w->alerts = alerts_new(w->options->on_window, files, &w->naming, w->log);
		rc = w->alerts ? 0 : -ENOMEM;
	}
	if (!rc) {
		w->listener = w->audience->open(w->target->audience_context, w->options, &w->naming, w->log);
		if (!w->listener)
			return -1; /* said already */
		w->group = group_new(&wanted, w->target->tracer, w->log);
		w->marks = mark_server_new(MARK_FOLDER, w->log);
		w->camera = camera_new(w->target, w->options->follow);
		if (!w->group || !w->camera)
			rc = -ENOMEM;
	}
	rc = rc ?: open_sources(w, signal_fd);
	if (rc)
		log_warn(w->log, "cannot wait for events: %s", strerror(-rc));
	rc = rc ?: add_targets(w);
	rc = rc ?: check_marks(w);
	if (!rc)
		camera_begin(w->camera, w->group);
	return rc;
}

int watch(const struct options *options, struct watch_target *target, int signal_fd, const struct log *log)
{
	struct watch w = {
		.options = options, .target = target, .log = log, .audience = target->audience, .epoll = -1};
	int rc;

	for (int i = 0; i < SOURCE_CNT; i++)
		w.fd[i] = -1;
	rc = open_watch(&w, signal_fd, file_limit_raise());
	if (!rc && target->on_ready)
		target->on_ready(target);
	if (!rc && w.audience->begin)
		rc = w.audience->begin(w.listener);
	while (!rc && !w.over)
		wait_once(&w, -1);
	if (!rc && !w.target_over && !w.output && !w.audience->hasty)
		wait_for_last_sample(&w);
	if (!rc) {
		consume_events(&w);
		rc = report_last(&w);
		wait_for_audience(&w);
		if (w.alerts)
			alerts_end(w.alerts, w.group, signal_fd);
	}
	if (target->is_child && w.target_over)
		waitpid(target->pid, &target->wait_status, 0);
	close_sources(&w);
	w.audience->close(w.listener);
	alerts_free(w.alerts);
	camera_free(w.camera);
	mark_server_free(w.marks);
	group_free(w.group);
	naming_end(&w.naming);
	return rc ? STATUS_FAILED : command_finish_output(w.output);
}
