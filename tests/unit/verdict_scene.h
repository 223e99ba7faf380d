/* A process whose verdict is asked for, and what it says. */
#ifndef ALLOCTRACE_TESTS_VERDICT_SCENE_H
#define ALLOCTRACE_TESTS_VERDICT_SCENE_H

#include "report_fixture.h"
#include "target/cgroup.h"
#include "verdict/news.h"
#include "verdict/rule.h"

static struct trends *trends;
static struct verdict verdict;

static inline int start(void **state)
{
	(void)state;
	trends = trends_new();
	return trends ? 0 : -1;
}

static inline int stop(void **state)
{
	(void)state;
	trends_free(trends);
	return 0;
}

/* What that rule says of it; NULL: nothing. Valid until the next call. */
static inline const struct verdict_line *says(const struct fixture *x, enum verdict_rule rule)
{
	verdict_make(&x->s, &verdict);
	for (size_t i = 0; i < verdict.cnt; i++)
		if (verdict.lines[i].rule == rule)
			return &verdict.lines[i];
	return NULL;
}

static inline uint64_t bytes_of(const struct verdict_line *line, const char *name)
{
	for (size_t i = 0; i < line->evidence_cnt; i++)
		if (!strcmp(line->evidence[i].name, name))
			return line->evidence[i].integer;
	fail_msg("no %s", name);
	return 0;
}

static inline double real_of(const struct verdict_line *line, const char *name)
{
	for (size_t i = 0; i < line->evidence_cnt; i++)
		if (!strcmp(line->evidence[i].name, name))
			return line->evidence[i].real;
	fail_msg("no %s", name);
	return 0;
}

#define HAS(text, part)                                                                                      \
	do {                                                                                                 \
		if (!strstr(text, part))                                                                     \
			fail_msg("\"%s\" is not in: %s", part, text);                                        \
	} while (0)

/* A process of 300 MiB that has been watched for a minute, with little free, and a site. At the end. */
static inline void quiet(struct fixture *x)
{
	fixture_start(x);
	fixture_heap(x, 1);
	fixture_allocs(x);
	memset(x->s.lost, 0, sizeof(x->s.lost));
	x->s.rss = 300 * MIB;
	x->s.final = true;
	x->heap.allocator_cnt = 1;
	x->heap.live_heap = x->allocators[0].live_heap = 280 * MIB;
	x->heap.retained = x->allocators[0].retained = 5 * MIB;
	x->heap.purgeable = x->allocators[0].purgeable = 3 * MIB;
	x->heap.pinned = x->allocators[0].pinned = 2 * MIB;
}

/* The moments of a run up to now, a second apart; change is called before each with its number. */
static inline void run(struct fixture *x, unsigned moments, void (*change)(struct fixture *x, unsigned i))
{
	uint64_t now = x->s.time_ns;

	for (unsigned i = 0; i < moments; i++) {
		x->s.time_ns = now - (moments - 1 - i) * SEC;
		if (change)
			change(x, i);
		x->s.trend = trends_add(trends, &x->s);
	}
}

/* ---- nothing wrong ---- */

static inline void site_and_heap_grow(struct fixture *x, unsigned i)
{
	x->sites[0].live.bytes = 200 * MIB + i * MIB;
	x->heap.live_heap = 280 * MIB + i * MIB;
}

/* Site 0 is known to so many percent, the others exactly. */
static inline void estimate(struct fixture *x, unsigned percent)
{
	const struct ledger_totals *t = &x->allocs.totals;
	struct site all = {.live = t->live, .allocated = t->allocated, .freed = t->freed};

	x->bounds[0] = fixture_site_bounds(&x->sites[0], percent);
	x->views[0].bounds = &x->bounds[0];
	x->allocs.budget = (struct budget_view){.max_overhead = 0.1, .probe_share = 0.09, .duty = 0.1, .duty_now = 0.1,
						.estimated = true, .error = percent / 100.0};
	x->allocs.budget.totals = fixture_site_bounds(&all, percent);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

#endif
