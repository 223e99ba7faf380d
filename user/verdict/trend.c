#include "verdict/trend.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PARTS 4

struct entry {
	pid_t pid;
	bool touched;
	struct trend trend;
};

struct trends {
	struct entry **v;
	size_t cnt, room;
};

struct trends *trends_new(void)
{
	return calloc(1, sizeof(struct trends));
}

static void entry_free(struct entry *e)
{
	for (size_t i = 0; i < e->trend.cnt; i++)
		free(e->trend.marks[i].sites);
	free(e);
}

void trends_free(struct trends *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->cnt; i++)
		entry_free(t->v[i]);
	free(t->v);
	free(t);
}

void trends_sweep(struct trends *t)
{
	size_t kept = 0;

	for (size_t i = 0; i < t->cnt; i++) {
		if (!t->v[i]->touched) {
			entry_free(t->v[i]);
			continue;
		}
		t->v[i]->touched = false;
		t->v[kept++] = t->v[i];
	}
	t->cnt = kept;
}

static struct entry *entry_of(struct trends *t, pid_t pid)
{
	struct entry **v;

	for (size_t i = 0; i < t->cnt; i++)
		if (t->v[i]->pid == pid)
			return t->v[i];
	if (t->cnt == t->room) {
		v = reallocarray(t->v, t->room + 16, sizeof(struct entry *));
		if (!v)
			return NULL;
		t->v = v;
		t->room += 16;
	}
	t->v[t->cnt] = calloc(1, sizeof(struct entry));
	if (!t->v[t->cnt])
		return NULL;
	t->v[t->cnt]->pid = pid;
	return t->v[t->cnt++];
}

/* ---- marks ---- */

static void add(uint64_t *sum, uint64_t part)
{
	*sum = *sum == UNKNOWN || part == UNKNOWN ? UNKNOWN : *sum + part;
}

static uint64_t net_live(const struct snapshot *s)
{
	const struct ledger_totals *t;

	if (!s->allocs)
		return UNKNOWN;
	t = &s->allocs->totals;
	return TREND_NET_ZERO + t->live.bytes - t->freed_before.bytes;
}

static void fill_error(struct trend_mark *m, const struct allocation_view *a)
{
	const struct bounds *live = &a->budget.totals.live;

	m->estimated = true;
	m->net_low -= a->totals.live.bytes - live->low.bytes;
	m->net_high += live->high.bytes - a->totals.live.bytes;
}

static void fill_figures(struct trend_mark *m, const struct snapshot *s)
{
	bool known = s->heap->taken_ns != 0;

	m->figures[TREND_RSS] = s->rss;
	m->figures[TREND_LIVE] = known ? s->heap->live_heap : UNKNOWN;
	m->figures[TREND_NET_LIVE] = m->net_low = m->net_high = net_live(s);
	if (s->allocs && s->allocs->budget.estimated)
		fill_error(m, s->allocs);
	if (!known)
		m->figures[TREND_PINNED] = m->figures[TREND_LAYER_LIVE] = m->figures[TREND_LAYER_RETAINED] =
			UNKNOWN;
	for (size_t i = 0; known && i < s->heap->allocator_cnt; i++) {
		const struct heap_allocator *a = &s->heap->allocators[i];

		if (heap_is_layer(a)) {
			add(&m->figures[TREND_LAYER_LIVE], a->live_heap);
			add(&m->figures[TREND_LAYER_RETAINED], a->retained);
		} else if (a->serving) {
			add(&m->figures[TREND_PINNED], a->pinned);
		}
	}
}

static int by_number(const void *x, const void *y)
{
	const struct trend_site *a = x, *b = y;

	return a->number < b->number ? -1 : a->number > b->number;
}

static void fill_sites(struct trend_mark *m, const struct allocation_view *a)
{
	size_t cnt = 0;

	while (cnt < a->site_cnt && cnt < TREND_SITES && a->sites[cnt].figures->live.bytes >= TREND_SITE_MIN)
		cnt++;
	m->sites = cnt ? calloc(cnt, sizeof(*m->sites)) : NULL;
	for (size_t i = 0; m->sites && i < cnt; i++) {
		const struct site_view *v = &a->sites[i];
		uint64_t live = v->figures->live.bytes;

		m->sites[m->site_cnt++] = (struct trend_site){v->number, live,
							      v->bounds ? v->bounds->live.low.bytes : live,
							      v->bounds ? v->bounds->live.high.bytes : live};
	}
	if (m->site_cnt)
		qsort(m->sites, m->site_cnt, sizeof(*m->sites), by_number);
}

static uint64_t spacing_of(const struct trend *t, size_t cnt)
{
	return (t->marks[cnt - 1].time_ns - t->marks[0].time_ns) / (TREND_MARKS / 2);
}

/* Every second one goes; the newest stays. */
static void thin(struct trend *t)
{
	size_t kept = 0;

	t->spacing_ns = spacing_of(t, t->cnt);
	for (size_t i = 0; i < t->cnt; i++) {
		if (i % 2 == 0 || i == t->cnt - 1)
			t->marks[kept++] = t->marks[i];
		else
			free(t->marks[i].sites);
	}
	t->cnt = kept;
}

static bool is_due(const struct trend *t, size_t cnt, uint64_t spacing_ns, uint64_t time_ns)
{
	return !cnt || time_ns - t->marks[cnt - 1].time_ns >= spacing_ns;
}

static struct trend_mark *next_mark(struct trend *t, uint64_t time_ns)
{
	if (t->cnt && !t->marks[t->cnt - 1].stays)
		free(t->marks[--t->cnt].sites);
	if (t->cnt == TREND_MARKS)
		thin(t);
	t->marks[t->cnt] =
		(struct trend_mark){.time_ns = time_ns, .stays = is_due(t, t->cnt, t->spacing_ns, time_ns)};
	return &t->marks[t->cnt++];
}

bool trends_keep(const struct trends *trends, pid_t pid, uint64_t time_ns)
{
	for (size_t i = 0; i < trends->cnt; i++) {
		const struct trend *t = &trends->v[i]->trend;
		size_t cnt = t->cnt && !t->marks[t->cnt - 1].stays ? t->cnt - 1 : t->cnt;

		if (trends->v[i]->pid == pid)
			return is_due(t, cnt, cnt == TREND_MARKS ? spacing_of(t, cnt) : t->spacing_ns,
				      time_ns);
	}
	return true;
}

const struct trend *trends_add(struct trends *trends, const struct snapshot *s)
{
	struct entry *e = entry_of(trends, s->pid);
	struct trend_mark *m;

	if (!e)
		return NULL;
	e->touched = true;
	if (e->trend.cnt && s->time_ns <= e->trend.marks[e->trend.cnt - 1].time_ns)
		return &e->trend;
	m = next_mark(&e->trend, s->time_ns);
	fill_figures(m, s);
	if (s->allocs)
		fill_sites(m, s->allocs);
	return &e->trend;
}

/* ---- growth ---- */

struct series {
	size_t cnt;
	uint64_t time_ns[TREND_MARKS];
	double v[TREND_MARKS], low[TREND_MARKS], high[TREND_MARKS];
};

static void add_moment(struct series *s, uint64_t time_ns, double v, double low, double high)
{
	s->time_ns[s->cnt] = time_ns;
	s->v[s->cnt] = v;
	s->low[s->cnt] = low;
	s->high[s->cnt++] = high;
}

static size_t part_of(const struct series *s, size_t i)
{
	uint64_t span = s->time_ns[s->cnt - 1] - s->time_ns[0];
	size_t part = (size_t)((double)(s->time_ns[i] - s->time_ns[0]) * PARTS / (double)span);

	return part < PARTS ? part : PARTS - 1;
}

/* The lowest of each part and which it was; false: a part has none. */
static bool find_lows(const struct series *s, double low[PARTS], size_t at[PARTS])
{
	bool has[PARTS] = {false}, all = true;

	for (size_t i = 0; i < s->cnt; i++) {
		size_t part = part_of(s, i);

		if (has[part] && s->v[i] >= low[part])
			continue;
		has[part] = true;
		low[part] = s->v[i];
		at[part] = i;
	}
	for (size_t i = 0; i < PARTS; i++)
		all &= has[i];
	return all;
}

/* The deepest fall, from the second part on. */
static double deepest_fall(const struct series *s)
{
	double highest = -1, deepest = 0;

	for (size_t i = 0; i < s->cnt; i++) {
		if (part_of(s, i) == 0)
			continue;
		highest = s->v[i] > highest ? s->v[i] : highest;
		deepest = highest - s->v[i] > deepest ? highest - s->v[i] : deepest;
	}
	return deepest;
}

/* The lowest of the last eighth: whether it still goes on. */
static double lowest_lately(const struct series *s)
{
	uint64_t first = s->time_ns[0], last = s->time_ns[s->cnt - 1];
	double low = s->v[s->cnt - 1];

	for (size_t i = s->cnt; i > 0 && last - s->time_ns[i - 1] < (last - first) / (2 * (uint64_t)PARTS);
	     i--)
		low = s->v[i - 1] < low ? s->v[i - 1] : low;
	return low;
}

static struct trend_rise rise_of(const struct series *s)
{
	struct trend_rise rise = {.clear = false};
	double low[PARTS], mean, steps[PARTS - 1];
	size_t at[PARTS];

	if (s->cnt < TREND_RISE_MARKS_MIN ||
	    s->time_ns[s->cnt - 1] - s->time_ns[0] < TREND_RISE_SPAN_MIN_NS || !find_lows(s, low, at) ||
	    low[3] <= low[1])
		return rise;
	for (size_t i = 0; i < PARTS - 1; i++)
		steps[i] = low[i + 1] - low[i];
	mean = (steps[1] + steps[2]) / 2;
	rise.grown = (uint64_t)(low[3] - low[1]);
	rise.per_second = (low[3] - low[1]) * 1e9 / (double)(s->time_ns[at[3]] - s->time_ns[at[1]]);
	if (s->low[at[3]] > s->high[at[1]])
		rise.sure = (uint64_t)(s->low[at[3]] - s->high[at[1]]);
	rise.clear = steps[0] >= 0 && steps[1] >= mean / 2 && steps[2] >= mean / 2 &&
		     steps[2] * 3 >= steps[1] * 2 && lowest_lately(s) >= low[3] + mean / 4 &&
		     low[3] - low[1] > deepest_fall(s);
	return rise;
}

struct trend_rise trend_rise(const struct trend *t, enum trend_figure figure)
{
	struct series s = {.cnt = 0};
	bool net = figure == TREND_NET_LIVE;

	for (size_t i = 0; t && i < t->cnt; i++) {
		if (t->marks[i].figures[figure] == UNKNOWN)
			continue;
		add_moment(&s, t->marks[i].time_ns, (double)t->marks[i].figures[figure],
			   net ? (double)t->marks[i].net_low : (double)t->marks[i].figures[figure],
			   net ? (double)t->marks[i].net_high : (double)t->marks[i].figures[figure]);
	}
	return rise_of(&s);
}

static const struct trend_site *site_at(const struct trend_mark *m, uint32_t number)
{
	return m->site_cnt ? bsearch(&(struct trend_site){.number = number}, m->sites, m->site_cnt,
				     sizeof(*m->sites), by_number)
			   : NULL;
}

struct trend_rise trend_rise_of_site(const struct trend *t, uint32_t number)
{
	struct series s = {.cnt = 0};

	for (size_t i = 0; t && i < t->cnt; i++) {
		const struct trend_mark *m = &t->marks[i];
		const struct trend_site *site = site_at(m, number);

		if (site)
			add_moment(&s, m->time_ns, (double)site->live, (double)site->low, (double)site->high);
		else
			add_moment(&s, m->time_ns, 0, 0, m->estimated ? INFINITY : 0);
	}
	return rise_of(&s);
}

bool trend_has_lasted(const struct trend *t, enum trend_figure figure, uint64_t bytes, uint64_t ns)
{
	size_t i = t ? t->cnt : 0;

	while (i > 0 && t->marks[i - 1].figures[figure] != UNKNOWN &&
	       t->marks[i - 1].figures[figure] >= bytes)
		i--;
	return t && t->cnt - i >= 2 && t->marks[t->cnt - 1].time_ns - t->marks[i].time_ns >= ns;
}

uint64_t trend_highest(const struct trend *t, enum trend_figure figure)
{
	uint64_t highest = 0;

	for (size_t i = 0; t && i < t->cnt; i++)
		if (t->marks[i].figures[figure] != UNKNOWN && t->marks[i].figures[figure] > highest)
			highest = t->marks[i].figures[figure];
	return highest;
}
