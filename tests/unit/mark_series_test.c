/* What is said of figures from mark to mark, and that nothing is said where it would be a guess. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/units.h"
#include "heap/state.h"
#include "report/mark_series.h"

#define MARKS_MAX 2000

static uint64_t values[MARKS_MAX];
static size_t cnt;

static int start(void **state)
{
	(void)state;
	cnt = 0;
	srandom(1);
	return 0;
}

static void add(double mib)
{
	assert_true(cnt < MARKS_MAX);
	values[cnt++] = (uint64_t)(mib * (double)MIB);
}

/* Evenly around 0. */
static double noise(double mib)
{
	return mib * (2.0 * (double)random() / RAND_MAX - 1);
}

static struct mark_series series(void)
{
	struct mark_series s;

	mark_series_make(values, cnt, &s);
	return s;
}

static void assert_near(double value, double wanted, double off)
{
	if (value < wanted - off || value > wanted + off)
		fail_msg("%g is not near %g", value, wanted);
}

static void test_few(void **state)
{
	struct mark_series s = series();

	(void)state;
	assert_int_equal(s.first, UNKNOWN);
	assert_int_equal(s.median, UNKNOWN);
	add(30);
	add(10);
	add(20);
	s = series();
	assert_int_equal(s.first, 30 * MIB);
	assert_int_equal(s.last, 20 * MIB);
	assert_int_equal(s.min, 10 * MIB);
	assert_int_equal(s.max, 30 * MIB);
	assert_int_equal(s.median, 20 * MIB);
	assert_int_equal(s.trend, MARK_TREND_NONE);
}

static void test_grows(void **state)
{
	struct mark_series s;

	(void)state;
	for (int i = 0; i < 4; i++)
		add(200 + 40 * i);
	s = series();
	assert_int_equal(s.trend, MARK_GROWS);
	assert_near(s.slope / MIB, 40, 0.01);
	assert_int_equal(s.median, 260 * MIB);
}

static void test_grows_unevenly(void **state)
{
	struct mark_series s;

	(void)state;
	for (int i = 0; i < 60; i++)
		add(500 + 5 * i + noise(30) + (i % 17 == 3 ? 400 : 0)); /* and now and then a peak */
	s = series();
	assert_int_equal(s.trend, MARK_GROWS);
	assert_near(s.slope / MIB, 5, 0.5);
}

/* A slow leak beside a large base. */
static void test_grows_slowly(void **state)
{
	struct mark_series s;

	(void)state;
	for (int i = 0; i < 50; i++)
		add(13312 + 1.0 * i + noise(2));
	s = series();
	assert_int_equal(s.trend, MARK_GROWS);
	assert_near(s.slope / MIB, 1, 0.1);
}

static void test_falls(void **state)
{
	struct mark_series s;

	(void)state;
	for (int i = 0; i < 10; i++)
		add(900 - 20 * i);
	s = series();
	assert_int_equal(s.trend, MARK_FALLS);
	assert_near(s.slope / MIB, -20, 0.01);
}

static void test_plateau(void **state)
{
	static const double gib[] = {4.1, 8.7, 11.9, 13.01, 13.02, 12.98, 13.03, 13.0};
	struct mark_series s;

	(void)state;
	for (size_t i = 0; i < sizeof(gib) / sizeof(gib[0]); i++)
		add(gib[i] * 1024);
	s = series();
	assert_int_equal(s.trend, MARK_PLATEAU);
	assert_int_equal(s.after, 4);
	assert_near((double)s.level / MIB, 13.01 * 1024, 20);
}

/* One unit is enough to warm up. */
static void test_plateau_at_once(void **state)
{
	struct mark_series s;

	(void)state;
	add(20);
	for (int i = 0; i < 7; i++)
		add(120 + noise(0.3));
	s = series();
	assert_int_equal(s.trend, MARK_PLATEAU);
	assert_int_equal(s.after, 2);
}

/* What goes on growing has no plateau, however much it grew before. */
static void test_warms_up_and_leaks(void **state)
{
	struct mark_series s;

	(void)state;
	add(100);
	add(400);
	for (int i = 0; i < 20; i++)
		add(600 + 10 * i + noise(1));
	s = series();
	assert_int_equal(s.trend, MARK_GROWS);
	assert_near(s.slope / MIB, 10, 1);
}

static void test_staircase(void **state)
{
	struct mark_series s;

	(void)state;
	for (int i = 0; i < 30; i++)
		add(100 + 40 * (i / 5));
	s = series();
	assert_int_equal(s.trend, MARK_GROWS);
	assert_near(s.slope / MIB, 8, 1);
}

/* Long ago it grew: neither is it said to grow, nor has it been at rest for long. */
static void test_late_plateau(void **state)
{
	(void)state;
	for (int i = 0; i < 30; i++)
		add(i < 20 ? 100 + 40 * i : 900);
	assert_int_not_equal(series().trend, MARK_STEADY);
	assert_int_not_equal(series().trend, MARK_FALLS);
}

static void test_steady(void **state)
{
	struct mark_series s;

	(void)state;
	for (int i = 0; i < 40; i++)
		add(300 + noise(3));
	s = series();
	assert_int_equal(s.trend, MARK_STEADY);
	assert_near((double)s.level / MIB, 300, 2);
	cnt = 0;
	for (int i = 0; i < 5; i++)
		add(8);
	assert_int_equal(series().trend, MARK_STEADY);
}

/* Chance alone makes no trend: of a hundred such series hardly one. */
static void test_noise(void **state)
{
	unsigned said = 0;

	(void)state;
	for (int k = 0; k < 100; k++) {
		enum mark_trend trend;

		cnt = 0;
		for (int i = 0; i < 4 + k % 30; i++)
			add(500 + noise(300));
		trend = series().trend;
		said += trend != MARK_TREND_NONE;
	}
	assert_true(said <= 3);
}

static void test_many(void **state)
{
	struct mark_series s;

	(void)state;
	for (int i = 0; i < MARKS_MAX; i++)
		add(100 + 2 * i);
	s = series();
	assert_int_equal(s.cnt, MARKS_MAX);
	assert_int_equal(s.trend, MARK_GROWS);
	assert_near(s.slope / MIB, 2, 0.01);
	assert_int_equal(s.last, (100 + 2 * (MARKS_MAX - 1)) * MIB);
}

/* Figures at the ends of their range. */
static void test_extremes(void **state)
{
	(void)state;
	for (int i = 0; i < 9; i++)
		values[cnt++] = i % 2 ? UINT64_MAX - 1 : 0;
	assert_int_equal(series().trend, MARK_TREND_NONE);
	assert_int_equal(series().max, UINT64_MAX - 1);
	cnt = 0;
	for (int i = 0; i < 9; i++)
		values[cnt++] = 0;
	assert_int_equal(series().trend, MARK_STEADY);
}

#define TEST(name) cmocka_unit_test_setup(name, start)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_few),      TEST(test_grows),           TEST(test_grows_unevenly),
		TEST(test_falls),    TEST(test_grows_slowly),    TEST(test_plateau),
		TEST(test_steady),   TEST(test_plateau_at_once), TEST(test_warms_up_and_leaks),
		TEST(test_noise),    TEST(test_staircase),       TEST(test_late_plateau),
		TEST(test_extremes), TEST(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
