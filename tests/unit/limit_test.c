/* Growth towards a limit: a straight line is told, steps and saws are not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/units.h"
#include "detect/limit.h"

#define LIMIT (1000 * MIB)

static void feed(struct limit_watch *w, unsigned seconds, uint64_t (*bytes)(unsigned second))
{
	*w = (struct limit_watch){.cnt = 0};
	for (unsigned i = 0; i < seconds; i++)
		limit_sample(w, (uint64_t)(i + 1) * NSEC_PER_SEC, bytes(i));
}

static uint64_t line(unsigned second)
{
	return 500 * MIB + second * MIB + (second * 7919 % 13) * 64 * KIB;
}

static uint64_t falling(unsigned second)
{
	return 500 * MIB - second * MIB;
}

static uint64_t step(unsigned second)
{
	return second < 60 ? 500 * MIB : 600 * MIB;
}

static uint64_t saw(unsigned second)
{
	return 500 * MIB + second % 50 * 2 * MIB;
}

static uint64_t flat(unsigned second)
{
	return 500 * MIB + (second * 7919 % 13) * MIB;
}

static uint64_t slow(unsigned second)
{
	return 500 * MIB + second * 8 * KIB;
}

static void a_line_has_an_end(void **state)
{
	struct limit_watch w;
	struct limit_forecast f;

	(void)state;
	feed(&w, 120, line);
	f = limit_forecast(&w, LIMIT);
	assert_true(f.clear);
	assert_true(f.growth > 0.98 * MIB && f.growth < 1.02 * MIB);
	assert_true(f.seconds > 370 && f.seconds < 392); /* 1000 − 619 at 1 a second */
	f = limit_forecast(&w, UINT64_MAX);
	assert_true(f.clear && f.seconds < 0);
	f = limit_forecast(&w, 100 * MIB);
	assert_true(f.clear && f.seconds == 0);
}

static void what_is_no_line_has_none(void **state)
{
	uint64_t (*const shapes[])(unsigned) = {falling, step, saw, flat, slow};
	struct limit_watch w;

	(void)state;
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		feed(&w, 120, shapes[i]);
		assert_false(limit_forecast(&w, LIMIT).clear);
	}
}

static void a_short_look_tells_nothing(void **state)
{
	struct limit_watch w;

	(void)state;
	feed(&w, 0, line);
	assert_false(limit_forecast(&w, LIMIT).clear);
	feed(&w, 1, line);
	assert_false(limit_forecast(&w, LIMIT).clear);
	feed(&w, 30, line);
	assert_false(limit_forecast(&w, LIMIT).clear);
	feed(&w, 31, line);
	assert_true(limit_forecast(&w, LIMIT).clear);
}

/* The newest samples count: growth that has ended is none. */
static uint64_t ended(unsigned second)
{
	return 100 * MIB + (second < 400 ? second : 400) * MIB;
}

static void what_was_long_ago_is_forgotten(void **state)
{
	struct limit_watch w;

	(void)state;
	feed(&w, 400 + LIMIT_SAMPLES, ended);
	assert_int_equal(w.cnt, LIMIT_SAMPLES);
	assert_false(limit_forecast(&w, LIMIT).clear);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_has_an_end),
		cmocka_unit_test(what_is_no_line_has_none),
		cmocka_unit_test(a_short_look_tells_nothing),
		cmocka_unit_test(what_was_long_ago_is_forgotten),
	};

	return cmocka_run_group_tests_name("limit", tests, NULL, NULL);
}
