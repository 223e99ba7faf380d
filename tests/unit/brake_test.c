#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/units.h"
#include "detect/brake.h"

#define MS (NSEC_PER_SEC / 1000)

/* A target that runs all the time, whose probes take so many percent of it, sampled every 200 ms. */
struct scene {
	struct brake brake;
	uint64_t now, probe, target;
};

static struct scene begin(double max_share)
{
	struct scene s = {.now = NSEC_PER_SEC};

	brake_init(&s.brake, max_share);
	return s;
}

/* Seconds until it trips, or 0 if it does not within so many. */
static double runs(struct scene *s, double seconds, unsigned percent, unsigned busy_percent)
{
	for (uint64_t passed = 0; passed < (uint64_t)(seconds * NSEC_PER_SEC); passed += 200 * MS) {
		if (brake_sample(&s->brake, s->now, s->probe, s->target))
			return (double)passed / NSEC_PER_SEC;
		s->now += 200 * MS;
		s->target += 2 * busy_percent * MS;
		s->probe += 2 * busy_percent * MS * percent / 100;
	}
	return 0;
}

static void a_small_share_never_trips(void **state)
{
	struct scene s = begin(0.25);

	(void)state;
	assert_true(s.brake.share < 0); /* not known yet */
	assert_true(runs(&s, 60, 20, 100) == 0);
	assert_true(s.brake.share > 0.19 && s.brake.share < 0.21);
}

static void a_large_share_trips_after_two_seconds(void **state)
{
	struct scene s = begin(0.25);
	double after;

	(void)state;
	after = runs(&s, 60, 60, 100);
	assert_true(after >= 2 && after <= 2.5);
	assert_true(s.brake.tripped && s.brake.tripped_at > 0.59 && s.brake.tripped_at < 0.61);
	assert_true(runs(&s, 60, 60, 100) == 0); /* once */
}

static void the_share_is_of_the_targets_time(void **state)
{
	struct scene s = begin(0.25);

	(void)state;
	assert_true(runs(&s, 10, 60, 3) >= 2); /* hardly ever on a CPU, but probes are most of it */
}

static void a_burst_does_not_trip(void **state)
{
	struct scene s = begin(0.25);

	(void)state;
	for (int i = 0; i < 10; i++) {
		assert_true(runs(&s, 0.6, 70, 100) == 0);
		assert_true(runs(&s, 3, 1, 100) == 0);
	}
}

static void without_a_limit_it_only_tells(void **state)
{
	struct scene s = begin(0);

	(void)state;
	assert_true(runs(&s, 20, 90, 100) == 0);
	assert_true(s.brake.share > 0.89);
}

static void an_idle_target_has_no_share(void **state)
{
	struct scene s = begin(0.25);

	(void)state;
	assert_true(runs(&s, 20, 0, 0) == 0);
	assert_true(s.brake.share == 0);
}

static void counters_that_go_back_begin_anew(void **state)
{
	struct scene s = begin(0.25);

	(void)state;
	assert_true(runs(&s, 1.8, 60, 100) == 0);
	s.probe = s.target = 0;
	assert_true(runs(&s, 1.8, 60, 100) == 0);
	assert_true(runs(&s, 2, 60, 100) > 0);
}

static void frequent_samples_are_the_same(void **state)
{
	struct brake b;
	uint64_t now = NSEC_PER_SEC;
	double after = 0;

	(void)state;
	brake_init(&b, 0.25);
	for (uint64_t i = 0; i < 5000 && !after; i++)
		if (brake_sample(&b, now + i * MS, i * MS / 2, i * MS))
			after = (double)i / 1000;
	assert_true(after >= 2 && after <= 2.5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_small_share_never_trips),
		cmocka_unit_test(a_large_share_trips_after_two_seconds),
		cmocka_unit_test(the_share_is_of_the_targets_time),
		cmocka_unit_test(a_burst_does_not_trip),
		cmocka_unit_test(without_a_limit_it_only_tells),
		cmocka_unit_test(an_idle_target_has_no_share),
		cmocka_unit_test(counters_that_go_back_begin_anew),
		cmocka_unit_test(frequent_samples_are_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
