#include "probe/slicer.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "../bpf/event.h"
#include "../bpf/share.h"
#include "base/clock.h"
#include "base/map.h"
#include "base/units.h"
#include "probe/gates.h"
#include "probe/urgent.h"
#include "probe/warm.h"

#define BUSY_NS 1000000             /* until a process whose probes are being looked after is tried again */
#define SYSTEM_TIME_NS NSEC_PER_SEC /* what /proc tells of user and system time is read so often */

/* A stream of a process. */
struct sliced {
	struct attached *attached;
	pid_t pid;
	uint32_t stream; /* CELL_BLOCKS, CELL_OBJECTS */
	struct pace *pace;
	struct pace_step step;
	uint64_t due;    /* its next turn */
	uint64_t end;    /* of the step */
	uint64_t number; /* of the newest cell */
	bool open;       /* its gate, as far as we know */
	bool placed;     /* its probes are */
	bool alarmed;    /* its gate has closed itself */
	bool postponed;  /* its turn, for others' cells */
	bool goes_on;    /* the step, with nothing but a new quota */
	bool unmade;     /* the step is chosen, its switch not made */
	bool warming;    /* its turn before the end is for warm_up */
	uint64_t warm_until;
	kept_link warm;             /* of that; 0: none */
	struct pace_reading marked; /* at the last mark */
	uint64_t limit;             /* hits at which its gate closes itself */
	uint64_t carried;           /* ns of progress since it has done so: no part of the cell */
	struct pace_reading system; /* when user and system time were read */
	uint64_t ours_ns;           /* CPU time that its switches have cost us */
};

struct slicer {
	struct slicer_options options;
	struct map streams; /* GATE_KEY → struct sliced; under the lock */
	struct ring_buffer *alarms;
	int epoll_fd, wake_fd;
	bool stop; /* under the lock */
	pthread_t thread;
	clockid_t clock;  /* CPU time of it */
	uint64_t charged; /* of its and the keeper's CPU time: it is some stream's, or nobody's */
};

static void sliced_free(struct sliced *s)
{
	pace_free(s->pace);
	free(s);
}

static uint64_t cpu_time(const struct slicer *sl, const struct sliced *s)
{
	uint64_t used = clock_process_cpu_ns(s->pid);

	return used ? used + gates_running(&sl->options.gates, s->pid) : s->marked.cpu_ns;
}

/*
 * CPU time of this thread and of the keeper since that was last asked for. The keeper ends some removals
 * after it was waited for, and places what others ask for: whose turn is next has that too.
 */
static uint64_t used_since(struct slicer *sl)
{
	uint64_t used = clock_ns(sl->clock) + clock_process_cpu_ns(keeper_pid(sl->options.keeper)),
		 fresh = used > sl->charged ? used - sl->charged : 0;

	sl->charged = used;
	return fresh;
}

/* proc(5): fields 14 and 15 of stat, in clock ticks. */
static void read_system(struct sliced *s, struct pace_reading *r)
{
	unsigned long long user, system;
	char path[32], line[1024], *from;
	FILE *file;

	r->all_user_ns = s->system.all_user_ns;
	r->all_system_ns = s->system.all_system_ns;
	if (s->system.time_ns && r->time_ns - s->system.time_ns < SYSTEM_TIME_NS)
		return;
	snprintf(path, sizeof(path), "/proc/%d/stat", s->pid);
	file = fopen(path, "re");
	if (!file)
		return;
	from = fgets(line, sizeof(line), file) ? strrchr(line, ')') : NULL;
	if (from &&
	    sscanf(from + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user, &system) == 2) {
		uint64_t tick = NSEC_PER_SEC / (uint64_t)sysconf(_SC_CLK_TCK);

		r->all_user_ns = user * tick;
		r->all_system_ns = system * tick;
		s->system = *r;
	}
	fclose(file);
}

static uint64_t probe_ns(const struct probe_cost *cost, const struct gate_sum *sum)
{
	return sum->program_ns +
	       (uint64_t)(cost->trap * (double)sum->entries + cost->return_trap * (double)sum->returns +
			  cost->stepped * (double)sum->stepped);
}

static struct pace_reading read_process(const struct slicer *sl, struct sliced *s)
{
	struct pace_reading r = {.time_ns = clock_monotonic_ns(), .cpu_ns = cpu_time(sl, s)};
	struct gate_sum sum, others;

	gates_spent(&sl->options.gates, s->pid, s->stream, &sum);
	gates_spent(&sl->options.gates, s->pid, s->stream == CELL_BLOCKS ? CELL_OBJECTS : CELL_BLOCKS,
		    &others);
	r.hits = sum.entries;
	r.stack_ns = sum.stack_ns;
	r.probe_ns = probe_ns(sl->options.cost, &sum);
	r.others_ns = probe_ns(sl->options.cost, &others);
	r.others_hits = others.entries;
	r.user_ns = sum.user_ns;
	r.system_ns = sum.system_ns;
	r.ours_ns = s->ours_ns;
	read_system(s, &r);
	return r;
}

/* Of what has passed since a cell began, that until its gate closed itself: by hits, which are counted on. */
static double recorded_part(const struct sliced *s, const struct pace_reading *at)
{
	double all = (double)(at->hits - s->marked.hits), recorded = (double)(s->limit - s->marked.hits);

	return recorded < all ? recorded / all : 1;
}

static void mark(const struct slicer *sl, struct sliced *s, enum cell_state state,
		 const struct pace_reading *at)
{
	struct event_cell cell = {
		.head.func = s->stream,
		.number = s->number,
		.chance = s->step.sure ? CELL_SURE : (uint64_t)(s->step.chance * CELL_SURE),
		.sample_bytes = s->step.sample_bytes,
		.free_sample_bytes = s->step.free_sample_bytes,
		.state = state,
	};
	double part = state == CELL_CUT ? recorded_part(s, at) : 1;
	uint64_t error, progress = pace_progress(s->pace, &s->marked, at, &error);

	cell.chance += !cell.chance;
	cell.progress = s->carried + (uint64_t)(part * (double)progress);
	cell.progress_error = (uint64_t)(part * (double)error);
	cell.cpu = state == CELL_BEGIN ? 0 : (uint64_t)(part * (double)(at->cpu_ns - s->marked.cpu_ns));
	if (gates_mark(&sl->options.gates, s->pid, &cell, s->step.quota)) {
		s->open = false; /* what has passed is in the next mark's progress */
		return;
	}
	s->open = state == CELL_BEGIN;
	s->limit = at->hits + s->step.quota;
	s->carried = progress - (uint64_t)(part * (double)progress);
	s->marked = *at;
}

static bool goes_on(const struct pace_step *was, const struct pace_step *next)
{
	return was->on && next->on && was->sure && next->sure && was->sample_bytes == next->sample_bytes &&
	       was->free_sample_bytes == next->free_sample_bytes;
}

/* False: not now. */
static bool begin(struct slicer *sl, struct sliced *s)
{
	struct pace_reading now;

	if (!s->placed) {
		if (!attached_switch(s->attached, s->stream, true))
			return false;
		s->placed = true;
		s->ours_ns += used_since(sl);
		now = read_process(sl, s);
		s->warm_until = now.time_ns + WARM_NS;
		pace_begun(s->pace, &now);
	} else {
		now = read_process(sl, s);
	}
	s->number++;
	mark(sl, s, CELL_BEGIN, &now);
	return true;
}

static void cool_down(const struct slicer *sl, struct sliced *s)
{
	if (s->warm)
		keeper_drop(sl->options.keeper, &s->warm, 1);
	s->warm = 0;
}

/* False: not now. */
static bool remove_probes(const struct slicer *sl, struct sliced *s)
{
	if (!attached_switch(s->attached, s->stream, false))
		return false;
	s->placed = false;
	cool_down(sl, s);
	return true;
}

/* The step has ended: the next one is chosen. */
static void choose(struct slicer *sl, struct sliced *s)
{
	struct pace_step was = s->step, next;
	struct pace_reading now;

	s->ours_ns += used_since(sl);
	now = read_process(sl, s);
	next = pace_next(s->pace, &now);
	s->goes_on = goes_on(&was, &next) && gates_go_on(&sl->options.gates, s->pid, s->stream, next.quota);
	if (s->goes_on)
		s->limit = now.hits + next.quota;
	if (!s->goes_on && s->open)
		mark(sl, s, s->alarmed ? CELL_CUT : CELL_END, &now);
	s->step = next;
}

static bool make(struct slicer *sl, struct sliced *s)
{
	if (s->goes_on)
		return true;
	if (s->step.on)
		return begin(sl, s);
	return !s->placed || remove_probes(sl, s);
}

/* A cell that goes on for a while is followed by one that is off, most often. */
static void plan_end(struct sliced *s)
{
	uint64_t now = clock_monotonic_ns();

	s->end = s->due = now + s->step.length_ns;
	s->warming = s->step.on && !s->step.sure && s->end > s->warm_until;
	if (s->warming)
		s->due = s->step.length_ns > WARM_WAIT_NS ? s->end - WARM_WAIT_NS : now;
}

static void warm(const struct slicer *sl, struct sliced *s)
{
	cool_down(sl, s);
	s->warm = warm_up(sl->options.keeper, sl->options.programs, sl->options.backend);
	s->warm_until = clock_monotonic_ns() + WARM_NS;
	s->warming = false;
	s->due = s->end;
}

static void turn(struct slicer *sl, struct sliced *s)
{
	if (s->warming && !s->alarmed) {
		warm(sl, s);
		return;
	}
	if (!s->unmade)
		choose(sl, s);
	s->alarmed = s->postponed = s->warming = false;
	s->unmade = !make(sl, s);
	if (s->unmade)
		s->due = clock_monotonic_ns() + BUSY_NS;
	else
		plan_end(s);
}

/* Cells that are to end before all others. */
static int urgency(const struct sliced *s)
{
	return s->warming && !s->alarmed ? 1 : s->step.on ? 2 : 0;
}

/* Who is to have its turn next. */
static struct sliced *most_urgent(const struct slicer *sl, uint64_t now)
{
	struct sliced *found = NULL;

	for (size_t i = 0; i < sl->streams.cap; i++) {
		struct sliced *s = sl->streams.slots[i].value;

		if (!s || !(s->alarmed || now >= s->due))
			continue;
		if (!found || urgency(s) > urgency(found) ||
		    (urgency(s) == urgency(found) && s->due < found->due))
			found = s;
	}
	return found;
}

/* When the next is due; UINT64_MAX: there is none. */
static uint64_t next_due(const struct slicer *sl)
{
	uint64_t due = UINT64_MAX;

	for (size_t i = 0; i < sl->streams.cap; i++) {
		const struct sliced *s = sl->streams.slots[i].value;

		if (s && s->due < due)
			due = s->due;
	}
	return due;
}

/*
 * The probes of objects take up to 80 ms to come, in which nobody else has a turn: it waits, once, for the
 * end of a cell that is on.
 */
static bool postpone(const struct slicer *sl, struct sliced *s, uint64_t now)
{
	uint64_t until = 0;

	if (s->stream != CELL_OBJECTS || s->placed || s->postponed)
		return false;
	for (size_t i = 0; i < sl->streams.cap; i++) {
		const struct sliced *other = sl->streams.slots[i].value;

		if (other && other->open && !other->step.sure && other->end > until)
			until = other->end;
	}
	s->postponed = until > now;
	if (s->postponed)
		s->due = until;
	return s->postponed;
}

static int take_alarm(void *ctx, void *data, size_t len)
{
	struct slicer *sl = ctx;
	struct sliced *s = len >= sizeof(uint64_t) ? map_get(&sl->streams, *(const uint64_t *)data) : NULL;

	if (s && s->open)
		s->alarmed = true;
	return 0;
}

/* Milliseconds are too coarse for a cell: epoll_pwait2 is of 5.11. */
static void wait_until(struct slicer *sl, uint64_t due)
{
	uint64_t now = clock_monotonic_ns(), ns = due > now ? due - now : 0;
	struct timespec left = {.tv_sec = (time_t)(ns / NSEC_PER_SEC), .tv_nsec = (long)(ns % NSEC_PER_SEC)};
	struct epoll_event event;
	eventfd_t value;

	epoll_pwait2(sl->epoll_fd, &event, 1, due == UINT64_MAX ? NULL : &left, NULL);
	eventfd_read(sl->wake_fd, &value);
}

/* One at a time: placing probes takes some milliseconds, in which others' cells end and the lock is wanted.
 */
static void *run(void *arg)
{
	struct slicer *sl = arg;
	bool stop = false;

	urgent_thread();
	while (!stop) {
		struct sliced *s;
		uint64_t due;

		gates_see_clock(&sl->options.gates);
		pthread_mutex_lock(sl->options.lock);
		ring_buffer__consume(sl->alarms);
		stop = sl->stop;
		s = stop ? NULL : most_urgent(sl, clock_monotonic_ns());
		if (s && !postpone(sl, s, clock_monotonic_ns()))
			turn(sl, s);
		due = next_due(sl);
		pthread_mutex_unlock(sl->options.lock);
		if (!s && !stop)
			wait_until(sl, due);
	}
	return NULL;
}

static int watch(const struct slicer *sl, int fd)
{
	struct epoll_event event = {.events = EPOLLIN};

	return fd < 0 || epoll_ctl(sl->epoll_fd, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

static void slicer_free(struct slicer *sl)
{
	for (size_t i = 0; i < sl->streams.cap; i++)
		if (sl->streams.slots[i].value)
			sliced_free(sl->streams.slots[i].value);
	map_free(&sl->streams);
	ring_buffer__free(sl->alarms);
	if (sl->epoll_fd >= 0)
		close(sl->epoll_fd);
	if (sl->wake_fd >= 0)
		close(sl->wake_fd);
	free(sl);
}

int slicer_start(const struct slicer_options *options, struct slicer **result)
{
	struct slicer *sl = calloc(1, sizeof(*sl));
	int ret;

	if (!sl)
		return -ENOMEM;
	sl->options = *options;
	sl->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	sl->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	sl->alarms = ring_buffer__new(options->gates.alarms, take_alarm, sl, NULL);
	ret = sl->alarms ? watch(sl, sl->wake_fd) : -errno;
	ret = ret ?: watch(sl, ring_buffer__epoll_fd(sl->alarms));
	ret = ret ?: -pthread_create(&sl->thread, NULL, run, sl);
	if (ret) {
		slicer_free(sl);
		return ret;
	}
	pthread_getcpuclockid(sl->thread, &sl->clock);
	*result = sl;
	return 0;
}

void slicer_stop(struct slicer *sl)
{
	if (!sl)
		return;
	pthread_mutex_lock(sl->options.lock);
	sl->stop = true;
	pthread_mutex_unlock(sl->options.lock);
	eventfd_write(sl->wake_fd, 1);
	pthread_join(sl->thread, NULL);
	slicer_free(sl);
}

static struct pace_options pace_options(const struct slicer *sl, const struct sliced *s)
{
	struct pace_options options = {
		.max_share = sl->options.max_share,
		.core_share = PACE_CORE_SHARE,
		.stacks_sampled = sl->options.stacks_sampled,
		.sample_bytes = sl->options.sample_bytes,
		.free_sample_bytes = sl->options.free_sample_bytes,
		.seed = clock_monotonic_ns() ^ (uint64_t)s->pid << 32 ^ s->stream,
	};

	if (s->stream == CELL_OBJECTS) {
		options.max_share /= 2;
		options.core_share /= 2;
		options.dear = options.stacks_sampled = true;
		options.sample_bytes = sl->options.object_sample_bytes;
		options.free_sample_bytes = 0;
	}
	return options;
}

static struct sliced *stream_of(const struct slicer *sl, pid_t pid, uint32_t stream)
{
	return map_get(&sl->streams, GATE_KEY(pid, stream));
}

/* Its gate is there, and closed. */
static int add(struct slicer *sl, struct attached *attached, uint32_t stream)
{
	struct sliced *s = calloc(1, sizeof(*s));
	struct pace_options options;
	int ret = -ENOMEM;

	if (!s)
		return ret;
	s->attached = attached;
	s->pid = attached_pid(attached);
	s->stream = stream;
	s->placed = stream == CELL_BLOCKS;
	options = pace_options(sl, s);
	if (!clock_process_cpu_ns(s->pid)) {
		ret = -ESRCH;
		goto fail;
	}
	s->marked = read_process(sl, s);
	s->pace = pace_new(&options, &s->marked);
	if (!s->pace || map_set(&sl->streams, GATE_KEY(s->pid, stream), s))
		goto fail;
	used_since(sl); /* for attaching to it: nobody's */
	turn(sl, s);
	eventfd_write(sl->wake_fd, 1);
	return 0;
fail:
	sliced_free(s);
	return ret;
}

int slicer_add(struct slicer *sl, struct attached *attached)
{
	return add(sl, attached, CELL_BLOCKS);
}

static void take_off(struct slicer *sl, pid_t pid, uint32_t stream)
{
	struct sliced *s = map_remove(&sl->streams, GATE_KEY(pid, stream));
	struct pace_reading now;

	if (!s)
		return;
	if (s->open) {
		now = read_process(sl, s);
		mark(sl, s, CELL_END, &now);
	}
	cool_down(sl, s);
	sliced_free(s);
}

void slicer_remove(struct slicer *sl, pid_t pid)
{
	take_off(sl, pid, CELL_BLOCKS);
	take_off(sl, pid, CELL_OBJECTS);
}

void slicer_look(struct slicer *sl, struct attached *attached)
{
	pid_t pid = attached_pid(attached);
	bool has = stream_of(sl, pid, CELL_OBJECTS), wants = attached_paces_objects(attached);
	struct sliced *blocks = stream_of(sl, pid, CELL_BLOCKS);

	if (has == wants)
		return;
	if (has) {
		take_off(sl, pid, CELL_OBJECTS);
		attached_switch(attached, CELL_OBJECTS, false);
		gates_drop(&sl->options.gates, pid, CELL_OBJECTS);
	} else if (gates_make(&sl->options.gates, pid, CELL_OBJECTS) || add(sl, attached, CELL_OBJECTS)) {
		return;
	}
	if (blocks)
		pace_share(blocks->pace, sl->options.max_share / (wants ? 2 : 1),
			   PACE_CORE_SHARE / (wants ? 2 : 1));
}

bool slicer_view(struct slicer *sl, pid_t pid, uint32_t stream, struct pace_view *view)
{
	struct pace_reading now;
	struct sliced *s;

	pthread_mutex_lock(sl->options.lock);
	s = stream_of(sl, pid, stream);
	if (s) {
		now = read_process(sl, s);
		pace_view(s->pace, &now, view);
	}
	pthread_mutex_unlock(sl->options.lock);
	return s;
}

uint64_t slicer_probe_ns(struct slicer *sl, pid_t pid)
{
	struct pace_reading now;
	struct sliced *s;
	uint64_t ns = 0;

	pthread_mutex_lock(sl->options.lock);
	s = stream_of(sl, pid, CELL_BLOCKS);
	if (s) {
		now = read_process(sl, s);
		ns = now.probe_ns + now.others_ns;
	}
	pthread_mutex_unlock(sl->options.lock);
	return ns;
}
