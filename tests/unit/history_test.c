/* Changes by step add up to the figures, whatever becomes of steps and points. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "picture/history.h"

#define SEC NSEC_PER_SEC
#define FRAMES 3

/* One process of so many sites; their stacks are anew at another place each time, as those of sums are. */
struct scene {
	struct heap_state heap;
	struct allocation_view allocs;
	struct snapshot s;
	struct site *figures;
	struct site_view *views;
	struct stack **stacks;
	size_t cnt;
};

static struct location places[8];

/* The n-th of 8³ stacks. */
static struct stack *stack_of(size_t n)
{
	struct stack *stack = calloc(1, sizeof(*stack) + FRAMES * sizeof(struct location *));

	assert_non_null(stack);
	stack->cnt = FRAMES;
	for (size_t i = 0; i < FRAMES; i++, n /= 8)
		stack->locations[i] = &places[n % 8];
	return stack;
}

static void scene_start(struct scene *x, size_t cnt)
{
	*x = (struct scene){.cnt = cnt};
	x->figures = calloc(cnt, sizeof(*x->figures));
	x->views = calloc(cnt, sizeof(*x->views));
	x->stacks = calloc(cnt, sizeof(*x->stacks));
	assert_true(x->figures && x->views && x->stacks);
	x->allocs = (struct allocation_view){.sites = x->views, .site_cnt = cnt};
	x->s = (struct snapshot){
		.started_ns = 10 * SEC, .time_ns = 10 * SEC, .heap = &x->heap, .allocs = &x->allocs};
}

static void forget_stacks(struct scene *x)
{
	for (size_t i = 0; i < x->cnt; i++)
		free(x->stacks[i]);
}

static void scene_end(struct scene *x)
{
	forget_stacks(x);
	free(x->figures);
	free(x->views);
	free(x->stacks);
}

/* Numbers go round: what is site 0 now is another one the next time. */
static void scene_show(struct scene *x, struct history *h, uint64_t time_ns, size_t turn)
{
	forget_stacks(x);
	for (size_t i = 0; i < x->cnt; i++) {
		struct site_view *view = &x->views[(i + turn) % x->cnt];

		x->stacks[i] = stack_of(i);
		*view = (struct site_view){.figures = &x->figures[i], .stack = x->stacks[i]};
	}
	x->s.time_ns = time_ns;
	history_add(h, &x->s);
}

static void allocate(struct scene *x, size_t site, uint64_t bytes)
{
	x->figures[site].live.bytes += bytes;
	x->figures[site].live.cnt++;
	x->figures[site].allocated.bytes += bytes;
	x->figures[site].allocated.cnt++;
}

static void release(struct scene *x, size_t site, uint64_t bytes)
{
	x->figures[site].live.bytes -= bytes;
	x->figures[site].live.cnt--;
	x->figures[site].freed.bytes += bytes;
	x->figures[site].freed.cnt++;
	x->figures[0].freed_here.bytes += bytes;
}

/* All changes of a stack up to a step, added up. */
static struct history_change sum_of(const struct history_view *view, const struct stack *stack, uint32_t last)
{
	struct history_change sum = {0};

	for (size_t i = 0; i < view->change_cnt; i++) {
		const struct history_change *c = &view->changes[i];
		const struct stack *at = view->sites[c->site];

		assert_true(c->site < view->site_cnt && c->step < view->step_cnt);
		assert_true(!i || c->step >= c[-1].step);
		if (c->step > last || (stack ? !at || !stack_is_same(at, stack) : at != NULL))
			continue;
		sum.live += c->live;
		sum.live_blocks += c->live_blocks;
		sum.allocated += c->allocated;
		sum.allocs += c->allocs;
		sum.freed += c->freed;
		sum.frees += c->frees;
		sum.freed_here += c->freed_here;
	}
	return sum;
}

static void assert_sum(const struct history_change *sum, const struct site *figures)
{
	assert_int_equal(sum->live, figures->live.bytes);
	assert_int_equal(sum->live_blocks, figures->live.cnt);
	assert_int_equal(sum->allocated, figures->allocated.bytes);
	assert_int_equal(sum->allocs, figures->allocated.cnt);
	assert_int_equal(sum->freed, figures->freed.bytes);
	assert_int_equal(sum->frees, figures->freed.cnt);
	assert_int_equal(sum->freed_here, figures->freed_here.bytes);
}

static void assert_adds_up(const struct scene *x, const struct history *h)
{
	struct history_view view;

	history_view(h, &view);
	assert_false(view.incomplete);
	assert_true(view.step_cnt && view.step_cnt <= HISTORY_STEPS && view.point_cnt <= HISTORY_POINTS);
	assert_int_equal(view.step_ends[view.step_cnt - 1], x->s.time_ns);
	for (size_t i = 0; i < x->cnt; i++) {
		const struct history_change sum = sum_of(&view, x->stacks[i], UINT32_MAX);

		assert_sum(&sum, &x->figures[i]);
	}
	for (size_t i = 1; i < view.step_cnt; i++)
		assert_true(view.step_ends[i] > view.step_ends[i - 1]);
	for (size_t i = 1; i < view.point_cnt; i++)
		assert_true(view.points[i].time_ns > view.points[i - 1].time_ns);
}

static void changes_are_by_stack(void **state)
{
	struct history *h = history_new();
	struct history_view view;
	struct history_change sum;
	struct scene x;

	(void)state;
	scene_start(&x, 3);
	allocate(&x, 1, 100);
	scene_show(&x, h, 11 * SEC, 0);
	allocate(&x, 2, 30);
	release(&x, 1, 100);
	scene_show(&x, h, 12 * SEC, 1);
	scene_show(&x, h, 13 * SEC, 2);
	scene_show(&x, h, 13 * SEC, 2); /* the final picture is shown twice */
	assert_adds_up(&x, h);
	history_view(h, &view);
	assert_int_equal(view.step_cnt, 3);
	assert_int_equal(view.change_cnt, 4); /* what has not changed is not there */
	sum = sum_of(&view, x.stacks[1], 0);
	assert_int_equal(sum.live, 100);
	sum = sum_of(&view, x.stacks[2], 0);
	assert_int_equal(sum.allocs, 0);
	scene_end(&x);
	history_free(h);
}

static void sites_without_a_stack_are_one(void **state)
{
	struct history *h = history_new();
	struct history_view view;
	struct history_change sum;
	struct scene x;

	(void)state;
	scene_start(&x, 2);
	allocate(&x, 0, 7);
	allocate(&x, 1, 9);
	for (size_t i = 0; i < 2; i++)
		x.views[i].figures = &x.figures[i];
	x.s.time_ns += SEC;
	history_add(h, &x.s);
	history_view(h, &view);
	sum = sum_of(&view, NULL, 0);
	assert_int_equal(view.change_cnt, 1);
	assert_int_equal(sum.live, 16);
	assert_int_equal(sum.allocs, 2);
	scene_end(&x);
	history_free(h);
}

/* What has gone from the sum takes its live blocks with it; what it has allocated stays allocated. */
static void a_process_that_leaves(void **state)
{
	struct history *h = history_new();
	struct history_view view;
	struct history_change sum;
	struct scene x;

	(void)state;
	scene_start(&x, 1);
	allocate(&x, 0, 50);
	scene_show(&x, h, 11 * SEC, 0);
	x.figures[0] = (struct site){.allocated = {1, 1}};
	scene_show(&x, h, 12 * SEC, 0);
	history_view(h, &view);
	sum = sum_of(&view, x.stacks[0], 1);
	assert_int_equal(sum.live, 0);
	assert_int_equal(sum.allocated, 50);
	scene_end(&x);
	history_free(h);
}

static void a_long_time_stays_bounded(void **state)
{
	struct history *h = history_new();
	struct history_view view;
	struct scene x;
	uint64_t longest = 0;

	(void)state;
	scene_start(&x, 40);
	for (uint64_t turn = 1; turn <= 5000; turn++) {
		allocate(&x, turn % 40, turn);
		if (turn > 100)
			release(&x, (turn - 100) % 40, turn - 100);
		x.s.rss = turn == 777 ? 1000 : 10;
		scene_show(&x, h, (10 + turn) * SEC, turn);
		if (turn % 500 == 0)
			assert_adds_up(&x, h);
	}
	history_view(h, &view);
	assert_true(view.step_cnt >= HISTORY_STEPS / 4 && view.point_cnt >= HISTORY_POINTS / 4);
	for (size_t i = 1; i < view.step_cnt; i++)
		if (view.step_ends[i] - view.step_ends[i - 1] > longest)
			longest = view.step_ends[i] - view.step_ends[i - 1];
	/* Evenly: old times are as fine as new ones. */
	assert_true(longest <= 5000 * SEC / (HISTORY_STEPS / 8));
	for (size_t i = 0; i < view.point_cnt; i++)
		longest = view.points[i].rss == 1000 ? 0 : longest;
	assert_int_equal(longest, 0); /* the peak is still there */
	scene_end(&x);
	history_free(h);
}

static void readings_come_between(void **state)
{
	const struct state_sample samples[] = {
		{11 * SEC, 100, 90, 80, 30, 50, 40, 10, 25},
		{12 * SEC, 110, 90, 80, 30, 50, UNKNOWN, UNKNOWN, UNKNOWN},
	};
	struct cgroup_view cgroup = {.memory.current = 500, .limit = CGROUP_NO_LIMIT};
	struct heap_state heap = {.taken_ns = 12 * SEC, .retained = 50};
	struct snapshot s = {.started_ns = 10 * SEC,
			     .time_ns = 15 * SEC,
			     .rss = 120,
			     .heap = &heap,
			     .samples = samples,
			     .sample_cnt = 2,
			     .cgroup = &cgroup};
	struct history *h = history_new();
	struct history_view view;

	(void)state;
	history_add(h, &s);
	history_view(h, &view);
	assert_int_equal(view.point_cnt, 3);
	assert_int_equal(view.points[0].retained, 50);
	assert_int_equal(view.points[0].live, 25);
	assert_true(view.points[1].purgeable == UNKNOWN);
	assert_int_equal(view.points[2].rss, 120);
	assert_true(view.points[2].retained == UNKNOWN); /* that reading is of before */
	assert_int_equal(view.points[2].cgroup_current, 500);
	assert_true(view.points[2].cgroup_limit == UNKNOWN);
	s.sample_cnt = 0;
	s.time_ns = 20 * SEC;
	heap.taken_ns = 19 * SEC;
	cgroup.limit = 1000;
	history_add(h, &s);
	history_view(h, &view);
	assert_int_equal(view.point_cnt, 4);
	assert_int_equal(view.points[3].retained, 50); /* a new one, without samples */
	assert_int_equal(view.points[3].cgroup_limit, 1000);
	assert_int_equal(view.change_cnt, 0);
	assert_int_equal(view.step_cnt, 2);
	history_free(h);
}

/* What was opened again since the point before; a row that is not there has not been. */
static void reopens_are_of_their_time(void **state)
{
	struct heap_state heap = {.taken_ns = 0};
	struct churn_finding rows[2] = {{.library = (char *)"libm.so", .repeats = 3, .failures = 1},
					{.library = (char *)"libc.so", .repeats = 10}};
	const struct churn_finding *both[] = {&rows[0], &rows[1]};
	struct snapshot s = {.started_ns = 1, .time_ns = 10, .heap = &heap, .churn = both, .churn_cnt = 2};
	static const uint64_t expected[] = {14, 0, 5, 1};
	struct history *h = history_new();
	struct history_view view;

	(void)state;
	history_add(h, &s);
	s.time_ns = 20;
	s.churn_cnt = 0;
	history_add(h, &s);
	s.time_ns = 30;
	s.churn_cnt = 1;
	rows[0].repeats = 8;
	history_add(h, &s);
	s.time_ns = 40;
	s.churn_cnt = 2; /* the final one has all */
	rows[1].repeats = 11;
	history_add(h, &s);
	history_view(h, &view);
	assert_int_equal(view.point_cnt, 4);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(view.points[i].reopens, expected[i]);
	history_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(changes_are_by_stack),  cmocka_unit_test(sites_without_a_stack_are_one),
		cmocka_unit_test(a_process_that_leaves), cmocka_unit_test(a_long_time_stays_bounded),
		cmocka_unit_test(readings_come_between), cmocka_unit_test(reopens_are_of_their_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
