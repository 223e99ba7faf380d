/* What counts as clear growth, over made-up runs; and that a trend stays bounded and keeps the run's shape.
 */
#include "report_fixture.h"
#include "verdict/trend.h"

static struct trends *trends;

static int start(void **state)
{
	(void)state;
	trends = trends_new();
	return trends ? 0 : -1;
}

static int stop(void **state)
{
	(void)state;
	trends_free(trends);
	return 0;
}

/* Adds a moment of process pid: RSS and one site's live bytes. */
static const struct trend *add(pid_t pid, uint64_t time_ns, uint64_t rss, uint64_t site_live)
{
	struct site site = {.live = {1, site_live}};
	struct site_view view = {.number = 7, .figures = &site};
	struct allocation_view allocs = {.sites = &view, .site_cnt = 1};
	struct heap_state heap = {.taken_ns = 0};
	struct snapshot s = {.time_ns = time_ns, .pid = pid, .rss = rss, .heap = &heap, .allocs = &allocs};

	return trends_add(trends, &s);
}

/* MiB at each of cnt moments, so far apart. */
static bool is_clear(const unsigned *mib, size_t cnt, uint64_t apart_ns)
{
	const struct trend *t = NULL;
	static pid_t pid;

	pid++;
	for (size_t i = 0; i < cnt; i++)
		t = add(pid, 100 * SEC + i * apart_ns, mib[i] * MIB, mib[i] * MIB);
	assert_int_equal(trend_rise(t, TREND_RSS).clear, trend_rise_of_site(t, 7).clear);
	return trend_rise(t, TREND_RSS).clear;
}

#define CLEAR(apart, ...)                                                                                    \
	is_clear((const unsigned[]){__VA_ARGS__},                                                            \
		 sizeof((const unsigned[]){__VA_ARGS__}) / sizeof(unsigned), apart)

static void growth_is_clear(void **state)
{
	(void)state;
	assert_true(CLEAR(SEC, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12));
	/* after a warm-up that grew by far more */
	assert_true(CLEAR(SEC, 1, 50, 90, 100, 101, 102, 103, 104, 105, 106, 107, 108));
	/* with teeth that are lower than what it grows by */
	assert_true(
		CLEAR(SEC, 10, 14, 12, 16, 14, 18, 16, 20, 18, 22, 20, 24, 22, 26, 24, 28, 26, 30, 28, 32));
}

static void what_is_not(void **state)
{
	(void)state;
	assert_false(CLEAR(SEC, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5));
	/* a step */
	assert_false(CLEAR(SEC, 1, 1, 1, 1, 1, 1, 9, 9, 9, 9, 9, 9));
	/* a warm-up that is over */
	assert_false(CLEAR(SEC, 1, 30, 50, 60, 61, 61, 61, 61, 61, 61, 61, 61));
	/* one that ended a moment ago */
	assert_false(CLEAR(SEC, 1, 1, 1, 1, 3, 5, 7, 9, 9, 9, 9, 9));
	/* a cache that fills up: ever slower */
	assert_false(CLEAR(SEC, 0, 50, 75, 87, 93, 96, 98, 99, 100, 100, 100, 100));
	/* a saw */
	assert_false(CLEAR(SEC, 1, 20, 40, 2, 21, 41, 3, 22, 42, 4, 23, 43));
	/* noise */
	assert_false(CLEAR(SEC, 31, 4, 15, 92, 65, 35, 89, 79, 32, 38, 46, 26));
	/* falling */
	assert_false(CLEAR(SEC, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1));
}

static void too_short_to_tell(void **state)
{
	(void)state;
	assert_false(CLEAR(SEC, 1, 2, 3, 4, 5, 6, 7, 8, 9));                         /* moments */
	assert_false(CLEAR(SEC / 2, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14)); /* time */
}

static void pace_and_size(void **state)
{
	const struct trend *t = NULL;
	struct trend_rise rise;

	(void)state;
	for (unsigned i = 0; i <= 24; i++)
		t = add(1, i * SEC, 0, 100 * MIB + i * MIB);
	rise = trend_rise_of_site(t, 7);
	assert_true(rise.clear);
	assert_int_equal(rise.grown,
			 12 * MIB); /* 6 s to 18 s: the first lows of the second part and the last */
	assert_true(rise.per_second > 0.99 * MIB && rise.per_second < 1.01 * MIB);
	assert_false(trend_rise_of_site(t, 8).clear); /* another site, never seen */
}

static void long_runs_are_thinned(void **state)
{
	const struct trend *t = NULL;

	(void)state;
	for (unsigned i = 0; i < 10000; i++) {
		t = add(1, 100 * SEC + i * SEC, (i + 1) * MIB, i * MIB);
		assert_true(t->cnt <= TREND_MARKS);
	}
	assert_true(t->cnt >= TREND_MARKS / 2);
	assert_int_equal(t->marks[0].time_ns, 100 * SEC);
	assert_int_equal(t->marks[t->cnt - 1].time_ns, 10099 * SEC);
	assert_true(trend_rise(t, TREND_RSS).clear);
	assert_int_equal(trend_highest(t, TREND_RSS), 10000 * MIB);
}

static void lasting(void **state)
{
	const struct trend *t;

	(void)state;
	t = add(1, 100 * SEC, 50 * MIB, 0);
	assert_false(trend_has_lasted(t, TREND_RSS, MIB, 0)); /* one look */
	t = add(1, 104 * SEC, 90 * MIB, 0);
	t = add(1, 109 * SEC, 91 * MIB, 0);
	assert_true(trend_has_lasted(t, TREND_RSS, 90 * MIB, 5 * SEC));
	assert_false(trend_has_lasted(t, TREND_RSS, 90 * MIB, 6 * SEC));
	assert_true(trend_has_lasted(t, TREND_RSS, 50 * MIB, 9 * SEC));
	t = add(1, 110 * SEC, 10 * MIB, 0);
	assert_false(trend_has_lasted(t, TREND_RSS, 50 * MIB, 0));
	assert_false(trend_has_lasted(NULL, TREND_RSS, 0, 0));
}

/* The final picture is looked at for the report and again for files. */
static void the_same_again_changes_nothing(void **state)
{
	const struct trend *t;

	(void)state;
	add(1, 100 * SEC, MIB, 0);
	t = add(1, 101 * SEC, MIB, 0);
	t = add(1, 101 * SEC, MIB, 0);
	assert_int_equal(t->cnt, 2);
}

static void processes_are_apart_and_forgotten(void **state)
{
	(void)state;
	add(1, 100 * SEC, MIB, MIB);
	assert_int_equal(add(2, 100 * SEC, MIB, MIB)->cnt, 1);
	trends_sweep(trends);
	add(1, 101 * SEC, MIB, MIB);
	trends_sweep(trends); /* 2 was not seen since */
	assert_int_equal(add(1, 102 * SEC, MIB, MIB)->cnt, 3);
	assert_int_equal(add(2, 102 * SEC, MIB, MIB)->cnt, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(growth_is_clear, start, stop),
		cmocka_unit_test_setup_teardown(what_is_not, start, stop),
		cmocka_unit_test_setup_teardown(too_short_to_tell, start, stop),
		cmocka_unit_test_setup_teardown(pace_and_size, start, stop),
		cmocka_unit_test_setup_teardown(long_runs_are_thinned, start, stop),
		cmocka_unit_test_setup_teardown(lasting, start, stop),
		cmocka_unit_test_setup_teardown(the_same_again_changes_nothing, start, stop),
		cmocka_unit_test_setup_teardown(processes_are_apart_and_forgotten, start, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
