#include "probe/slicer.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
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
#include "probe/sliced.h"
#include "probe/urgent.h"

struct slicer {
	struct slicing slicing;
	struct map streams; /* GATE_KEY → struct sliced; under the lock */
	struct ring_buffer *alarms;
	int epoll_fd, wake_fd;
	bool stop; /* under the lock */
	pthread_t thread;
};

/* Who is to have its turn next. */
static struct sliced *most_urgent(const struct slicer *sl, uint64_t now)
{
	struct sliced *found = NULL;

	for (size_t i = 0; i < sl->streams.cap; i++) {
		struct sliced *s = sl->streams.slots[i].value;

		if (!s || !(s->alarmed || now >= s->due))
			continue;
		if (!found || sliced_urgency(s) > sliced_urgency(found) ||
		    (sliced_urgency(s) == sliced_urgency(found) && s->due < found->due))
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

		gates_see_clock(&sl->slicing.options.gates);
		pthread_mutex_lock(sl->slicing.options.lock);
		ring_buffer__consume(sl->alarms);
		stop = sl->stop;
		s = stop ? NULL : most_urgent(sl, clock_monotonic_ns());
		if (s && !postpone(sl, s, clock_monotonic_ns()))
			sliced_turn(&sl->slicing, s);
		due = next_due(sl);
		pthread_mutex_unlock(sl->slicing.options.lock);
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
	free(sl->slicing.reader.scratch);
	looks_free(sl->slicing.looks);
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
	sl->slicing.options = *options;
	sl->slicing.reader = (struct reader){options->gates, options->cost, gates_scratch()};
	sl->slicing.looks = looks_new(options->gates.look);
	sl->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	sl->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	sl->alarms = ring_buffer__new(options->gates.alarms, take_alarm, sl, NULL);
	ret = sl->alarms ? watch(sl, sl->wake_fd) : -errno;
	ret = ret ?: sl->slicing.reader.scratch ? 0 : -ENOMEM;
	ret = ret ?: watch(sl, ring_buffer__epoll_fd(sl->alarms));
	ret = ret ?: -pthread_create(&sl->thread, NULL, run, sl);
	if (ret) {
		slicer_free(sl);
		return ret;
	}
	pthread_getcpuclockid(sl->thread, &sl->slicing.clock);
	*result = sl;
	return 0;
}

void slicer_stop(struct slicer *sl)
{
	if (!sl)
		return;
	pthread_mutex_lock(sl->slicing.options.lock);
	sl->stop = true;
	pthread_mutex_unlock(sl->slicing.options.lock);
	eventfd_write(sl->wake_fd, 1);
	pthread_join(sl->thread, NULL);
	slicer_free(sl);
}

static struct sliced *stream_of(const struct slicer *sl, pid_t pid, uint32_t stream)
{
	return map_get(&sl->streams, GATE_KEY(pid, stream));
}

/* Its gate is there, and closed. */
static int add(struct slicer *sl, struct attached *attached, uint32_t stream)
{
	struct sliced *s;
	int ret = sliced_new(&sl->slicing, attached, stream, &s);

	if (ret)
		return ret;
	if (map_set(&sl->streams, GATE_KEY(s->pid, stream), s)) {
		sliced_free(s);
		return -ENOMEM;
	}
	sliced_turn(&sl->slicing, s);
	eventfd_write(sl->wake_fd, 1);
	return 0;
}

int slicer_add(struct slicer *sl, struct attached *attached)
{
	return add(sl, attached, CELL_BLOCKS);
}

static void take_off(struct slicer *sl, pid_t pid, uint32_t stream)
{
	struct sliced *s = map_remove(&sl->streams, GATE_KEY(pid, stream));

	if (!s)
		return;
	sliced_end(&sl->slicing, s);
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
		gates_drop(&sl->slicing.options.gates, pid, CELL_OBJECTS);
	} else if (gates_make(&sl->slicing.options.gates, pid, CELL_OBJECTS) ||
		   add(sl, attached, CELL_OBJECTS)) {
		return;
	}
	if (blocks)
		pace_share(blocks->pace,
			   sl->slicing.options.max_share * (wants ? 1 - SLICED_OBJECTS_PART : 1),
			   PACE_CORE_SHARE * (wants ? 1 - SLICED_OBJECTS_PART : 1));
}

bool slicer_view(struct slicer *sl, pid_t pid, uint32_t stream, struct pace_view *view)
{
	struct pace_reading now;
	struct sliced *s;

	pthread_mutex_lock(sl->slicing.options.lock);
	s = stream_of(sl, pid, stream);
	if (s) {
		now = sliced_read(&sl->slicing, s);
		pace_view(s->pace, &now, view);
	}
	pthread_mutex_unlock(sl->slicing.options.lock);
	return s;
}

uint64_t slicer_probe_ns(struct slicer *sl, pid_t pid)
{
	struct pace_reading now;
	struct sliced *s;
	uint64_t ns = 0;

	pthread_mutex_lock(sl->slicing.options.lock);
	s = stream_of(sl, pid, CELL_BLOCKS);
	if (s) {
		now = sliced_read(&sl->slicing, s);
		ns = now.probe_ns + now.others_ns;
	}
	pthread_mutex_unlock(sl->slicing.options.lock);
	return ns;
}
