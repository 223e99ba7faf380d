#include "heap/sampler.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/units.h"
#include "target/pressure.h"

#define PRESSURE_HIGH 10.0 /* percent of the last 10 s */
#define PRESSURE_FACTOR 4
/* Readings that are wanted come no oftener, however cheap. */
#define WANTED_INTERVAL_NS (NSEC_PER_SEC / 40)

struct sampler {
	const struct process *process;
	struct sampler_options options;
	pthread_t thread;
	int fd;
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t wake;
	bool stop, hurry, wanted, restart;
	bool lazy_free; /* the process may have lazy-free pages: look */
	bool waiting;   /* newest holds a sample nobody has taken */
	struct sample newest;
};

void sample_free(struct sample *sample)
{
	heap_state_free(&sample->heap);
}

/* When readings are due, the regular one and one that is wanted before; when all so far are paid for. */
struct schedule {
	uint64_t regular, wanted, paid;
};

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static void schedule_next(struct sampler *s, uint64_t cost_ns, struct schedule *due)
{
	bool pressed = pressure_read(s->process->pid) > PRESSURE_HIGH;
	uint64_t pause, now = clock_monotonic_ns(), factor = pressed ? PRESSURE_FACTOR : 1;

	pthread_mutex_lock(&s->lock);
	pause = (uint64_t)((double)cost_ns / s->options.budget) * factor;
	pthread_mutex_unlock(&s->lock);
	due->paid = later(due->paid, now) + pause;
	due->regular = later(due->paid, now + s->options.interval_ns * factor);
	due->wanted = pressed ? due->regular : later(due->paid - pause, now + WANTED_INTERVAL_NS);
}

static void publish(struct sampler *s, struct sample *sample)
{
	pthread_mutex_lock(&s->lock);
	if (s->waiting)
		sample_free(&s->newest);
	s->newest = *sample;
	s->waiting = true;
	pthread_mutex_unlock(&s->lock);
	eventfd_write(s->fd, 1);
}

/* Waits until one is due, a hurry or the stop. False: stop. */
static bool wait_until(struct sampler *s, const struct schedule *schedule, bool *restart)
{
	bool go;

	pthread_mutex_lock(&s->lock);
	while (!s->stop && !s->hurry && !s->restart) {
		uint64_t due = s->wanted && schedule->wanted < schedule->regular ? schedule->wanted
										 : schedule->regular;
		struct timespec until = {.tv_sec = (time_t)(due / NSEC_PER_SEC),
					 .tv_nsec = (long)(due % NSEC_PER_SEC)};

		if (clock_monotonic_ns() >= due)
			break;
		pthread_cond_timedwait(&s->wake, &s->lock, &until);
	}
	go = !s->stop;
	*restart = s->restart;
	s->hurry = s->wanted = s->restart = false;
	pthread_mutex_unlock(&s->lock);
	return go;
}

/*
 * smaps_rollup holds the target's mmap lock over a whole mapping, so that its own brk and mmap
 * wait: it is read once, and again only where lazy-free pages are known or expected.
 */
static bool look_for_lazy_free(struct sampler *s)
{
	bool look;

	pthread_mutex_lock(&s->lock);
	look = s->lazy_free;
	s->lazy_free = false; /* an advice that comes during the reading sets it again */
	pthread_mutex_unlock(&s->lock);
	return look;
}

static void expect_lazy_free(struct sampler *s)
{
	pthread_mutex_lock(&s->lock);
	s->lazy_free = true;
	pthread_mutex_unlock(&s->lock);
}

static void take_reading(struct sampler *s, struct memory **mem, struct heap_reader **reader)
{
	uint64_t began = clock_thread_cpu_ns();
	struct sample sample = {.began_ns = clock_monotonic_ns()};

	if (!*mem)
		sample.status = memory_open_process(s->process->pid, mem, &sample.error);
	if (!sample.status && !*reader) {
		*reader = heap_reader_new(s->process, *mem, s->options.want_pages);
		if (*reader)
			heap_reader_know(*reader, s->options.more);
		else
			sample.status = error_set(&sample.error, -ENOMEM, "no memory to read the heap");
	}
	if (!sample.status)
		sample.status = heap_state_read(*reader, &sample.heap, &sample.error);
	if (process_usage(s->process, look_for_lazy_free(s), &sample.usage) && !sample.status)
		sample.status = error_set(&sample.error, -ESRCH, "process %d has ended", s->process->pid);
	if (sample.usage.lazy_free)
		expect_lazy_free(s);
	sample.heap.cost_ns = clock_thread_cpu_ns() - began; /* smaps_rollup is a cost of the reading too */
	publish(s, &sample);
}

static void *run(void *arg)
{
	struct heap_reader *reader = NULL;
	struct memory *mem = NULL;
	struct sampler *s = arg;
	struct schedule due = {0};
	bool restart;

	while (wait_until(s, &due, &restart)) {
		uint64_t began = clock_thread_cpu_ns();

		if (restart) {
			heap_reader_free(reader);
			memory_free(mem);
			reader = NULL;
			mem = NULL;
		}
		take_reading(s, &mem, &reader);
		schedule_next(s, clock_thread_cpu_ns() - began, &due);
	}
	heap_reader_free(reader);
	memory_free(mem);
	return NULL;
}

int sampler_start(const struct process *p, const struct sampler_options *options, struct sampler **sampler,
		  struct error *err)
{
	struct sampler *s = calloc(1, sizeof(*s));
	pthread_condattr_t monotonic;
	int rc;

	if (!s)
		return error_set(err, -ENOMEM, "no memory for the heap sampler");
	s->process = p;
	s->options = *options;
	s->lazy_free = true;
	s->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->fd < 0) {
		rc = error_set(err, -errno, "cannot make an eventfd: %s", strerror(errno));
		free(s);
		return rc;
	}
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&s->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	rc = pthread_create(&s->thread, NULL, run, s);
	if (rc) {
		error_set(err, -rc, "cannot start the heap sampler's thread: %s", strerror(rc));
		close(s->fd);
		free(s);
		return -rc;
	}
	*sampler = s;
	return 0;
}

void sampler_stop(struct sampler *s)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	s->stop = true;
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->thread, NULL);
	if (s->waiting)
		sample_free(&s->newest);
	pthread_cond_destroy(&s->wake);
	pthread_mutex_destroy(&s->lock);
	close(s->fd);
	free(s);
}

int sampler_fd(const struct sampler *s)
{
	return s->fd;
}

bool sampler_take(struct sampler *s, struct sample *sample)
{
	eventfd_t value;
	bool taken;

	eventfd_read(s->fd, &value);
	pthread_mutex_lock(&s->lock);
	taken = s->waiting;
	if (taken) {
		*sample = s->newest;
		s->waiting = false;
	}
	pthread_mutex_unlock(&s->lock);
	return taken;
}

void sampler_hurry(struct sampler *s)
{
	pthread_mutex_lock(&s->lock);
	s->hurry = true;
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
}

void sampler_want(struct sampler *s)
{
	pthread_mutex_lock(&s->lock);
	s->wanted = true;
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
}

void sampler_budget(struct sampler *s, double budget)
{
	pthread_mutex_lock(&s->lock);
	s->options.budget = budget;
	pthread_mutex_unlock(&s->lock);
}

void sampler_lazy_free(struct sampler *s)
{
	expect_lazy_free(s);
}

void sampler_restart(struct sampler *s)
{
	pthread_mutex_lock(&s->lock);
	s->restart = true;
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
}
