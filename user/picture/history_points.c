#include "picture/history_points.h"

#include <errno.h>
#include <stdlib.h>

void history_points_free(struct history_points *p)
{
	map_free(&p->reopens);
	free(p->v);
}

/* The later one's figures, and the highest of those whose peaks count. */
static void merge(struct history_point *sum, const struct history_point *later)
{
	const struct history_point old = *sum;
	const uint64_t *before = (const uint64_t *)&old;
	uint64_t *figures = (uint64_t *)sum;

	*sum = *later;
	for (size_t i = 0; i < sizeof(old) / sizeof(*figures); i++)
		if (figures[i] == UNKNOWN)
			figures[i] = before[i];
	if (old.reopens != UNKNOWN && later->reopens != UNKNOWN)
		sum->reopens = old.reopens + later->reopens;
	if (old.rss != UNKNOWN && old.rss > sum->rss)
		sum->rss = old.rss;
	if (old.retained != UNKNOWN && old.retained > sum->retained)
		sum->retained = old.retained;
	if (old.purgeable != UNKNOWN && old.purgeable > sum->purgeable)
		sum->purgeable = old.purgeable;
}

/* Into half as many at most, one for a piece of the time. */
static void coarsen(struct history_points *p)
{
	uint64_t first = p->v[0].time_ns, span = p->v[p->cnt - 1].time_ns - first;
	uint64_t piece = history_piece(span, HISTORY_POINTS / 2), last = 0;
	size_t cnt = 1;

	for (size_t i = 1; i < p->cnt; i++) {
		uint64_t in = (p->v[i].time_ns - first) / piece;

		if (in == last)
			merge(&p->v[cnt - 1], &p->v[i]);
		else
			p->v[cnt++] = p->v[i];
		last = in;
	}
	p->cnt = cnt;
}

/* One that is not newer is left out. */
static int add(struct history_points *p, const struct history_point *point)
{
	if (!p->v)
		p->v = malloc(HISTORY_POINTS * sizeof(*p->v));
	if (!p->v)
		return -ENOMEM;
	if (p->cnt && point->time_ns <= p->v[p->cnt - 1].time_ns)
		return 0;
	if (p->cnt == HISTORY_POINTS)
		coarsen(p);
	p->v[p->cnt++] = *point;
	return 0;
}

static int add_sample(struct history_points *p, const struct state_sample *sample)
{
	return add(p, &(struct history_point){
			      .time_ns = sample->time_ns,
			      .rss = sample->rss,
			      .held = sample->held,
			      .resident = sample->resident,
			      .live_heap = sample->live_heap,
			      .retained = sample->retained,
			      .purgeable = sample->purgeable,
			      .pinned = sample->pinned,
			      .live = sample->live,
			      .allocated = UNKNOWN,
			      .freed = UNKNOWN,
			      .cgroup_current = UNKNOWN,
			      .cgroup_limit = UNKNOWN,
			      .reopens = UNKNOWN,
		      });
}

/* A reading that is old is no news of this moment; a sum is of readings whose times differ. */
static bool is_fresh(const struct history_points *p, const struct snapshot *s)
{
	return s->heap->taken_ns && (s->processes || (!s->sample_cnt && s->heap->taken_ns != p->walked_ns));
}

static void fill_heap(struct history_point *point, const struct heap_state *heap)
{
	point->held = heap->held;
	point->resident = heap->resident;
	point->live_heap = heap->live_heap;
	point->retained = heap->retained;
	point->purgeable = heap->purgeable;
	point->pinned = heap->pinned;
}

static void fill_cgroup(struct history_point *point, const struct cgroup_view *cgroup)
{
	if (cgroup->memory.current < CGROUP_UNKNOWN)
		point->cgroup_current = cgroup->memory.current;
	if (cgroup->limit < CGROUP_UNKNOWN)
		point->cgroup_limit = cgroup->limit;
}

/*
 * Since that row was seen last. Rows of a sum are of those processes only that have opened something: what is
 * less than it was is less seen.
 */
static uint64_t more_reopens(struct history_points *p, const struct churn_finding *c)
{
	uint64_t key = map_hash(c->stack ? stack_hash(c->stack) : 0, c->library),
		 now = c->repeats + c->failures;
	uint64_t before = (uintptr_t)map_get(&p->reopens, key);

	if (now <= before || map_set(&p->reopens, key, (void *)(uintptr_t)now))
		return 0;
	return now - before;
}

int history_points_add(struct history_points *p, const struct snapshot *s)
{
	struct history_point point = {
		.time_ns = s->time_ns,
		.rss = s->rss,
		.held = UNKNOWN,
		.resident = UNKNOWN,
		.live_heap = UNKNOWN,
		.retained = UNKNOWN,
		.purgeable = UNKNOWN,
		.pinned = UNKNOWN,
		.live = UNKNOWN,
		.allocated = UNKNOWN,
		.freed = UNKNOWN,
		.cgroup_current = UNKNOWN,
		.cgroup_limit = UNKNOWN,
	};
	int rc = 0;

	for (size_t i = 0; i < s->sample_cnt && !rc; i++)
		rc = add_sample(p, &s->samples[i]);
	if (is_fresh(p, s))
		fill_heap(&point, s->heap);
	if (s->allocs) {
		point.allocated = s->allocs->totals.allocated.bytes;
		point.freed = s->allocs->totals.freed.bytes;
		point.live = s->allocs->totals.live.bytes;
	}
	for (size_t i = 0; i < s->churn_cnt; i++)
		point.reopens += more_reopens(p, s->churn[i]);
	if (s->cgroup)
		fill_cgroup(&point, s->cgroup);
	p->walked_ns = s->heap->taken_ns;
	return rc ?: add(p, &point);
}
