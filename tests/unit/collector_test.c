/* Python's garbage collector over scripted streams of collections, purges and heap states. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/units.h"
#include "detect/collector.h"
#include "heap/state.h"

#define S NSEC_PER_SEC
#define THRESHOLD 100 /* MiB */

static struct collector *c;

static int start(void **state)
{
	(void)state;
	c = collector_new();
	return c ? 0 : -1;
}

static int stop(void **state)
{
	(void)state;
	collector_free(c);
	return 0;
}

/* A second, and MiB live then. */
static void live(uint64_t second, uint64_t mib)
{
	collector_sample(c, &(struct collector_sample){
				    .time_ns = second * S, .live = mib * MIB, .threshold = THRESHOLD * MIB});
}

/* One that ends at a second, and took a tenth of one. */
static void collection(uint64_t second, int generation, int64_t collected)
{
	collector_run(c, &(struct event_collection){.head.time = second * S - S / 10,
						    .duration = S / 10,
						    .generation = generation,
						    .collected = collected});
}

static const struct collector_gap *gaps(size_t cnt)
{
	const struct collector_view *view = collector_look(c);

	assert_int_equal(view->gap_cnt, cnt);
	return view->gaps;
}

static void runs_by_generation(void **state)
{
	const struct collector_view *view;

	(void)state;
	collection(1, 0, 10);
	collection(2, 0, 0);
	collection(3, 2, 500);
	collector_run(c, &(struct event_collection){
				 .head.time = 4 * S, .duration = S, .generation = 2, .collected = 7});
	view = collector_look(c);
	assert_int_equal(view->runs[0].cnt, 2);
	assert_int_equal(view->runs[0].collected, 10);
	assert_int_equal(view->runs[1].cnt, 0);
	assert_int_equal(view->runs[2].cnt, 2);
	assert_int_equal(view->runs[2].collected, 507);
	assert_int_equal(view->runs[2].ns, S + S / 10);
	assert_int_equal(view->runs[2].longest_ns, S);
	assert_int_equal(view->last_full_ns, 5 * S);
}

/* A later CPython with more generations, and what no CPython says. */
static void odd_arguments(void **state)
{
	const struct collector_view *view;

	(void)state;
	collection(1, 5, 3);
	collection(2, -1, 3);
	collection(3, 0, -4);
	view = collector_look(c);
	assert_int_equal(view->runs[2].cnt, 1);
	assert_int_equal(view->runs[0].cnt, 1);
	assert_int_equal(view->runs[0].collected, 0);
	assert_int_equal(view->last_full_ns, 1 * S);
}

/* The document's anti-pattern: unit after unit is freed, some of it hangs in cycles, and nobody collects. */
static void units_without_a_collection(void **state)
{
	const struct collector_gap *g;

	(void)state;
	collector_purge(c, S / 2);
	live(1, 500);
	collector_purge(c, 3 * S / 2); /* before it is seen that the phase has begun */
	live(2, 200);                  /* the first phase, from second 1 on */
	collection(3, 1, 5);           /* not a full one */
	gaps(0);
	live(4, 600);
	live(5, 280);
	g = gaps(1);
	assert_int_equal(g[0].start_ns, 1 * S);
	assert_int_equal(g[0].end_ns, 0);
	assert_int_equal(g[0].phases, 2);
	assert_int_equal(g[0].live_first, 200 * MIB);
	assert_int_equal(g[0].live_last, 280 * MIB);
	assert_false(g[0].flagged); /* 80 are not more than 100 */
	live(6, 700);
	collector_purge(c, 7 * S);
	live(8, 301);
	g = gaps(1);
	assert_int_equal(g[0].phases, 3);
	assert_int_equal(g[0].purges, 2);
	assert_true(g[0].flagged);
	collection(9, 2, 12345);
	live(10, 150);
	g = gaps(1);
	assert_int_equal(g[0].end_ns, 9 * S);
	assert_true(g[0].by_collection);
	assert_int_equal(g[0].collected, 12345);
	assert_int_equal(g[0].live_last, 301 * MIB); /* what fell after it is not its */
	assert_true(g[0].flagged);
}

/* The same with a collection after each unit: nothing is missing. */
static void units_with_a_collection_each(void **state)
{
	(void)state;
	for (uint64_t t = 0; t < 100; t += 10) {
		live(t + 1, 500 + t);
		live(t + 2, 300 + t);
		collection(t + 3, 2, 100);
		live(t + 4, 200);
	}
	gaps(0);
}

/* … before each is freed, or in the midst of its freeing: that is between them too. */
static void a_collection_at_any_time_between(void **state)
{
	(void)state;
	for (uint64_t t = 0; t < 100; t += 10) {
		live(t + 1, 500);
		collection(t + 2, 2, 100);
		live(t + 3, 200);
	}
	for (uint64_t t = 100; t < 200; t += 10) {
		live(t + 1, 600);
		live(t + 2, 450);
		collection(t + 3, 2, 100);
		live(t + 4, 200);
	}
	gaps(0);
}

/* The collection is heard of before the state that shows the fall that it followed. */
static void a_state_that_comes_late(void **state)
{
	(void)state;
	for (uint64_t t = 0; t < 50; t += 10) {
		live(t + 1, 500);
		collection(t + 4, 2, 100);
		live(t + 3, 200);
	}
	gaps(0);
}

/* One close by: the collection that was long ago, while live still stood high, belongs to no phase. */
static void a_collection_long_before_a_phase(void **state)
{
	const struct collector_gap *g;

	(void)state;
	live(1, 500);
	collection(2, 2, 100);
	live(3, 499);
	live(20, 495);
	live(21, 200);
	live(22, 500);
	live(23, 200);
	g = gaps(1);
	assert_int_equal(g[0].start_ns, 20 * S);
	assert_int_equal(g[0].phases, 2);
	assert_false(g[0].flagged);
}

static void small_falls_are_no_phases(void **state)
{
	(void)state;
	for (uint64_t t = 0; t < 100; t += 2) {
		live(t, 500);
		live(t + 1, 400); /* not more than the threshold */
	}
	gaps(0);
}

/* A fall in steps is one phase, and so is one that is interrupted for a while. */
static void one_phase_in_steps(void **state)
{
	(void)state;
	live(1, 1000);
	live(2, 800);
	live(3, 850);
	live(4, 600);
	live(5, 700); /* not more than the threshold above the lowest */
	live(6, 100);
	gaps(0);
	live(7, 300);
	live(8, 100);
	assert_int_equal(gaps(1)[0].phases, 2);
	assert_int_equal(gaps(1)[0].live_first, 100 * MIB);
}

static void what_is_unknown_is_skipped(void **state)
{
	(void)state;
	collector_sample(c, &(struct collector_sample){.time_ns = S, .live = UNKNOWN, .threshold = MIB});
	live(2, 500);
	collector_sample(c, &(struct collector_sample){.time_ns = 3 * S, .live = UNKNOWN, .threshold = MIB});
	live(4, 100);
	live(5, 500);
	live(6, 100);
	assert_int_equal(gaps(1)[0].start_ns, 2 * S);
}

static void an_exec_ends_it(void **state)
{
	const struct collector_gap *g;

	(void)state;
	live(1, 500);
	live(2, 100);
	live(3, 500);
	live(4, 100);
	collector_exec(c, 5 * S);
	g = gaps(1);
	assert_int_equal(g[0].end_ns, 5 * S);
	assert_false(g[0].by_collection);
	live(6, 10); /* another program: no fall */
	live(7, 500);
	live(8, 100);
	gaps(1);
}

static void purges_without_a_collection(void **state)
{
	const struct collector_view *view;

	(void)state;
	collector_purge(c, 1 * S); /* nobody knows what came before */
	collection(2, 2, 0);
	collector_purge(c, 3 * S);
	collector_purge(c, 4 * S);
	collection(5, 1, 0);
	collector_purge(c, 6 * S);
	view = collector_look(c);
	assert_int_equal(view->purges, 3);
	assert_int_equal(view->purges_without, 2);
}

static void only_the_newest_are_kept(void **state)
{
	const struct collector_gap *g;
	uint64_t t = 0;

	(void)state;
	for (int i = 0; i < COLLECTOR_GAPS_KEPT + 5; i++, t += 10) {
		live(t + 1, 500);
		live(t + 2, 100);
		live(t + 3, 500);
		live(t + 4, 100);
		collection(t + 5, 2, i);
	}
	g = gaps(COLLECTOR_GAPS_KEPT);
	assert_int_equal(g[0].collected, 5);
	live(t + 1, 500);
	live(t + 2, 100);
	live(t + 3, 500);
	live(t + 4, 100);
	g = gaps(COLLECTOR_GAPS_KEPT + 1);
	assert_int_equal(g[COLLECTOR_GAPS_KEPT].end_ns, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
	const struct CMUnitTest tests[] = {
		TEST(runs_by_generation),
		TEST(odd_arguments),
		TEST(units_without_a_collection),
		TEST(units_with_a_collection_each),
		TEST(a_collection_at_any_time_between),
		TEST(a_state_that_comes_late),
		TEST(a_collection_long_before_a_phase),
		TEST(small_falls_are_no_phases),
		TEST(one_phase_in_steps),
		TEST(what_is_unknown_is_skipped),
		TEST(an_exec_ends_it),
		TEST(purges_without_a_collection),
		TEST(only_the_newest_are_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
