#include "probe/object_slices.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/units.h"

#define LOOK_NS (NSEC_PER_SEC / 1000) /* a cell that has used up its quota is noticed after that */
#define RANK_HITS 1000                /* by which places are ranked */
#define HOT_SHARE 0.998
#define HOT_MAX 32

struct object_slices {
	struct object_slices_options options;
	int file; /* our own: the object may go meanwhile */
	struct link_spot *spots;
	size_t spot_cnt;
	struct pace *pace;
	size_t hot_cnt;             /* those at the beginning of spots have most of the hits */
	kept_link cold, hot;        /* 0: these probes are out */
	uint64_t number;            /* of the cell */
	struct pace_reading before; /* when the last cell ended */
	pthread_t thread;
	pthread_mutex_t lock; /* of what follows, and of pace */
	pthread_cond_t wake;
	bool stops;
};

static struct pace_reading read_now(const struct object_slices *s)
{
	const struct probe_cost *cost = &s->options.cost;
	struct object_counts counts = {.hits = 0};
	struct pace_reading now = {.time_ns = clock_monotonic_ns()};
	struct timespec used;
	clockid_t clock;

	if (!clock_getcpuclockid(s->options.pid, &clock) && !clock_gettime(clock, &used))
		now.cpu_ns = (uint64_t)used.tv_sec * NSEC_PER_SEC + (uint64_t)used.tv_nsec;
	programs_object_counts(s->options.programs, s->options.pid, &counts);
	now.hits = counts.hits;
	now.stack_ns = (uint64_t)((double)counts.sampled * (cost->call - cost->entry));
	now.probe_ns = (uint64_t)((double)counts.hits * cost->entry) + now.stack_ns;
	return now;
}

static bool is_stopping(struct object_slices *s)
{
	bool stops;

	pthread_mutex_lock(&s->lock);
	stops = s->stops;
	pthread_mutex_unlock(&s->lock);
	return stops;
}

/* True: it is to stop. */
static bool wait_until(struct object_slices *s, uint64_t time_ns)
{
	const struct timespec until = {.tv_sec = (time_t)(time_ns / NSEC_PER_SEC),
				       .tv_nsec = (long)(time_ns % NSEC_PER_SEC)};
	bool stops;

	pthread_mutex_lock(&s->lock);
	while (!s->stops && !pthread_cond_timedwait(&s->wake, &s->lock, &until))
		;
	stops = s->stops;
	pthread_mutex_unlock(&s->lock);
	return stops;
}

static void say_cell(struct object_slices *s, const struct pace_step *step, enum cell_state state,
		     int64_t quota)
{
	struct pace_reading now = read_now(s);
	struct event_cell cell = {
		.head = {.kind = EVENT_CELL, .tgid = (uint32_t)s->options.pid, .func = CELL_OBJECTS},
		.number = s->number,
		.chance = step->sure ? CELL_SURE : (uint64_t)(step->chance * (double)CELL_SURE),
		.sample_bytes = s->options.sample_bytes,
		.state = state,
	};

	uint64_t error = 0;

	cell.chance = cell.chance ? cell.chance : 1;
	pthread_mutex_lock(&s->lock);
	cell.progress = pace_progress(s->pace, &s->before, &now, &error);
	cell.progress_error = error;
	pthread_mutex_unlock(&s->lock);
	s->before = now;
	programs_object_cell(s->options.programs, &cell, quota);
}

static int place_some(struct object_slices *s, size_t from, size_t cnt, kept_link *link)
{
	char path[32];
	struct program_use use[2];
	struct link_request request = {
		.backend = s->options.backend,
		.path = path,
		.pid = s->options.pid,
		.spots = s->spots + from,
		.spot_cnt = cnt,
	};

	if (!cnt || *link)
		return 0;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", s->file);
	programs_of_role(s->options.programs, PLAN_OBJECT, use);
	request.prog_fd = use[0].fd;
	request.when = use[0].when;
	return keeper_open(s->options.keeper, &request, link);
}

static int place(struct object_slices *s)
{
	return place_some(s, s->hot_cnt, s->spot_cnt - s->hot_cnt, &s->cold)
		       ?: place_some(s, 0, s->hot_cnt, &s->hot);
}

struct spot_rank {
	struct link_spot spot;
	uint64_t hits;
};

static int compare_ranks(const void *a, const void *b)
{
	uint64_t x = ((const struct spot_rank *)a)->hits, y = ((const struct spot_rank *)b)->hits;

	return x < y ? 1 : x > y ? -1 : 0;
}

/* Which spots have most of the hits, of all that there have been. */
static void rank_spots(struct object_slices *s)
{
	struct spot_rank *ranks = calloc(s->spot_cnt + 1, sizeof(*ranks));
	uint64_t hits[POOL_PLACES_MAX], all = 0, sum = 0;

	programs_object_places(s->options.programs, hits);
	for (size_t i = 0; ranks && i < s->spot_cnt; i++) {
		size_t number = s->spots[i].cookie >> COOKIE_POOL_PLACE_SHIFT & (POOL_PLACES_MAX - 1);

		ranks[i] = (struct spot_rank){.spot = s->spots[i], .hits = hits[number]};
		all += hits[number];
	}
	if (ranks && all >= RANK_HITS) {
		qsort(ranks, s->spot_cnt, sizeof(*ranks), compare_ranks);
		s->hot_cnt = 0;
		for (size_t i = 0; i < s->spot_cnt; i++) {
			s->spots[i] = ranks[i].spot;
			if (i < HOT_MAX && (double)sum < HOT_SHARE * (double)all)
				s->hot_cnt++;
			sum += ranks[i].hits;
		}
	}
	free(ranks);
}

static void take_out(struct object_slices *s)
{
	kept_link links[2];
	size_t cnt = 0;

	if (s->hot)
		links[cnt++] = s->hot;
	if (s->cold)
		links[cnt++] = s->cold;
	if (!cnt)
		return;
	keeper_close(s->options.keeper, links, cnt);
	s->hot = s->cold = 0;
	rank_spots(s);
}

/* Until its time is over, or its quota. True: it is to stop. */
static bool run_cell(struct object_slices *s, const struct pace_step *step)
{
	struct object_counts counts = {.cut = false};
	uint64_t end = clock_monotonic_ns() + step->length_ns;
	bool stops = false;

	s->number++;
	say_cell(s, step, CELL_BEGIN, (int64_t)step->quota);
	while (!stops && !counts.cut && clock_monotonic_ns() < end) {
		stops = wait_until(s, clock_monotonic_ns() + LOOK_NS);
		programs_object_counts(s->options.programs, s->options.pid, &counts);
	}
	say_cell(s, step, CELL_END, 0);
	return stops;
}

static struct pace_step next_step(struct object_slices *s)
{
	struct pace_reading now = read_now(s);
	struct pace_step step;

	pthread_mutex_lock(&s->lock);
	step = pace_next(s->pace, &now);
	pthread_mutex_unlock(&s->lock);
	return step;
}

static void begun(struct object_slices *s)
{
	struct pace_reading now = read_now(s);

	pthread_mutex_lock(&s->lock);
	pace_begun(s->pace, &now);
	pthread_mutex_unlock(&s->lock);
}

static void *slices_main(void *arg)
{
	struct object_slices *s = arg;
	bool stops = false;

	while (!stops) {
		struct pace_step step = next_step(s);

		if (!step.on) {
			take_out(s);
			stops = wait_until(s, clock_monotonic_ns() + step.length_ns);
			continue;
		}
		if (!s->cold && !s->hot) {
			if (place(s))
				break;
			begun(s);
		}
		stops = is_stopping(s) || run_cell(s, &step);
	}
	take_out(s);
	return NULL;
}

static int take_spots(struct object_slices *s, const struct plan *plan)
{
	s->spots = calloc(plan->cnt + 1, sizeof(*s->spots));
	for (size_t i = 0; s->spots && i < plan->cnt; i++)
		if (plan->v[i].role == PLAN_OBJECT)
			s->spots[s->spot_cnt++] = plan->v[i].at;
	return s->spots ? 0 : -ENOMEM;
}

static void slices_free(struct object_slices *s)
{
	pace_free(s->pace);
	if (s->file >= 0)
		close(s->file);
	free(s->spots);
	pthread_cond_destroy(&s->wake);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

struct object_slices *object_slices_start(const struct object_slices_options *options,
					  const struct object *obj, const struct plan *plan)
{
	struct object_slices *s = calloc(1, sizeof(*s));
	pthread_condattr_t monotonic;

	if (!s)
		return NULL;
	s->options = *options;
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&s->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	s->file = open(object_access_path(obj), O_RDONLY | O_CLOEXEC);
	s->before = read_now(s);
	s->pace = pace_new(&(struct pace_options){.max_share = options->max_share,
						  .stacks_sampled = true,
						  .sample_bytes = options->sample_bytes,
						  .seed = s->before.time_ns},
			   &s->before);
	if (s->pace && s->file >= 0 && !take_spots(s, plan) &&
	    !pthread_create(&s->thread, NULL, slices_main, s))
		return s;
	slices_free(s);
	return NULL;
}

void object_slices_stop(struct object_slices *s)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	s->stops = true;
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->thread, NULL);
	slices_free(s);
}

void object_slices_view(struct object_slices *s, struct pace_view *view)
{
	struct pace_reading now = read_now(s);

	pthread_mutex_lock(&s->lock);
	pace_view(s->pace, &now, view);
	pthread_mutex_unlock(&s->lock);
}
