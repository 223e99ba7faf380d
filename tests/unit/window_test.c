/* Missing-purge windows over scripted streams of samples and purges. */
#include "detect/window.h"

#include <setjmp.h>
#include <stdarg.h>
#include <math.h>

#include <cmocka.h>

#include "base/units.h"
#include "heap/state.h"

#define S NSEC_PER_SEC

static struct window_detector *d;
static const struct window_finding *view;

static void start(uint64_t retained_min, uint64_t min_seconds)
{
	const struct window_options options = { .retained_min = retained_min, .min_ns = min_seconds * S };

	d = window_detector_new(&options);
	assert_non_null(d);
}

static int stop(void **state)
{
	(void)state;
	window_detector_free(d);
	d = NULL;
	return 0;
}

/* A second, and MiB retained and purgeable then. */
static void sample(uint64_t second, uint64_t retained, uint64_t purgeable)
{
	window_detector_sample(d, &(struct window_sample){ .time_ns = second * S, .rss = 1000 * MIB,
							   .retained = retained * MIB, .purgeable = purgeable * MIB });
}

/* A reading that took from one second to another. */
static void reading(uint64_t began, uint64_t ended, uint64_t purgeable)
{
	window_detector_sample(d, &(struct window_sample){ .began_ns = began * S, .time_ns = ended * S, .rss = 1000 * MIB,
							   .retained = 500 * MIB, .purgeable = purgeable * MIB });
}

static void purge_from(uint64_t began, uint64_t ended, bool effective)
{
	window_detector_purge(d, &(struct window_return){ began * S, ended * S }, effective);
}

static void purge(uint64_t second, bool effective)
{
	purge_from(second, second, effective);
}

static void purge_begins(uint32_t tid, uint64_t second)
{
	window_detector_purge_begins(d, tid, second * S);
}

static void purge_is_over(uint32_t tid)
{
	window_detector_purge_is_over(d, tid);
}

static void own_return(uint64_t second)
{
	window_detector_own_return(d, &(struct window_return){ second * S, second * S });
}

static size_t windows(uint64_t second)
{
	return window_detector_view(d, second * S, &view);
}

static void opens_above_closes_below_four_fifths(void **state)
{
	(void)state;
	start(100 * MIB, 0);
	sample(1, 100, 100); /* not above */
	assert_int_equal(windows(1), 0);
	sample(2, 101, 101);
	sample(3, 81, 80);   /* 80 is not below 80 */
	assert_int_equal(windows(3), 1);
	assert_int_equal(view[0].start_ns, 2 * S);
	assert_int_equal(view[0].end_ns, 0);
	assert_int_equal(view[0].seen_ns, 3 * S);
	sample(4, 79, 79);
	assert_int_equal(windows(9), 1);
	assert_int_equal(view[0].end_ns, 4 * S);
	assert_false(view[0].closed_by_purge);
	sample(5, 99, 99);   /* below the threshold: a new window needs to exceed it */
	assert_int_equal(windows(9), 1);
}

static void both_must_exceed_and_either_ends_it(void **state)
{
	(void)state;
	start(100 * MIB, 0);
	sample(1, 500, 100);
	assert_int_equal(windows(1), 0);
	sample(2, 500, 101);
	sample(3, 500, 79);
	assert_int_equal(windows(3), 1);
	assert_int_equal(view[0].end_ns, 3 * S);
}

static void default_threshold_follows_rss(void **state)
{
	struct window_sample s = { .time_ns = S, .rss = 100 * MIB, .retained = 33 * MIB, .purgeable = 33 * MIB };

	(void)state;
	start(0, 0);
	window_detector_sample(d, &s); /* 32 MiB are more than 20 % of 100 */
	assert_int_equal(windows(1), 1);
	stop(NULL);

	start(0, 0);
	s.rss = 1000 * MIB; /* 20 %: 200 MiB */
	s.retained = s.purgeable = 200 * MIB;
	window_detector_sample(d, &s);
	assert_int_equal(windows(1), 0);
	s.time_ns++;
	s.retained = s.purgeable = 200 * MIB + 1;
	window_detector_sample(d, &s);
	assert_int_equal(windows(2), 1);
}

static void an_effective_purge_ends_it(void **state)
{
	(void)state;
	start(100 * MIB, 0);
	sample(1, 300, 200);
	purge(4, true);
	assert_int_equal(windows(5), 1);
	assert_int_equal(view[0].end_ns, 4 * S);
	assert_true(view[0].closed_by_purge);
	assert_true(fabs(view[0].byte_seconds - 3.0 * 300 * MIB) < 1);
	/* It gave back a part and left enough: the next window begins where it is seen. */
	sample(6, 150, 120);
	assert_int_equal(windows(6), 2);
	assert_int_equal(view[1].start_ns, 6 * S);
}

static void an_ineffective_purge_does_not(void **state)
{
	(void)state;
	start(100 * MIB, 0);
	purge(1, false); /* none is open: nothing to count */
	sample(2, 300, 200);
	purge(3, false);
	purge(4, false);
	sample(5, 300, 200);
	assert_int_equal(windows(5), 1);
	assert_int_equal(view[0].end_ns, 0);
	assert_int_equal(view[0].ineffective_purges, 2);
}

static void short_ones_do_not_count(void **state)
{
	(void)state;
	start(100 * MIB, 5);
	sample(1, 300, 200);
	assert_int_equal(windows(5), 0);
	assert_int_equal(windows(6), 1); /* open for five seconds */
	sample(5, 1, 1);
	assert_int_equal(windows(20), 0);
	sample(21, 300, 200);
	purge(25, true);
	assert_int_equal(windows(30), 0);
	sample(31, 300, 200);
	purge(36, true);
	assert_int_equal(windows(36), 1);
	assert_int_equal(view[0].start_ns, 31 * S);
}

static void the_peak_is_where_retained_was_highest(void **state)
{
	(void)state;
	start(100 * MIB, 0);
	sample(1, 300, 290);
	sample(2, 400, 250);
	sample(3, 350, 340);
	assert_int_equal(windows(3), 1);
	assert_int_equal(view[0].peak_retained, 400 * MIB);
	assert_int_equal(view[0].peak_purgeable, 250 * MIB);
}

static void byte_seconds_are_trapezoids(void **state)
{
	(void)state;
	start(100 * MIB, 0);
	sample(1, 200, 200);
	sample(3, 400, 400); /* 2 s × 300 */
	sample(4, 400, 400); /* 1 s × 400 */
	assert_int_equal(windows(100), 1);
	assert_true(fabs(view[0].byte_seconds - 1000.0 * MIB) < 1);
	sample(6, 0, 0);     /* 2 s × 200 */
	assert_int_equal(windows(100), 1);
	assert_true(fabs(view[0].byte_seconds - 1400.0 * MIB) < 1);
}

static void unknown_samples_are_skipped(void **state)
{
	(void)state;
	start(100 * MIB, 0);
	window_detector_sample(d, &(struct window_sample){ .time_ns = S, .retained = UNKNOWN, .purgeable = UNKNOWN });
	window_detector_sample(d, &(struct window_sample){ .time_ns = S, .retained = 500 * MIB, .purgeable = UNKNOWN });
	assert_int_equal(windows(2), 0);
	sample(2, 300, 300);
	window_detector_sample(d, &(struct window_sample){ .time_ns = 3 * S, .retained = UNKNOWN, .purgeable = 0 });
	sample(4, 300, 300);
	assert_int_equal(windows(4), 1);
	assert_int_equal(view[0].end_ns, 0);
	assert_true(fabs(view[0].byte_seconds - 600.0 * MIB) < 1);
}

static void a_reading_that_a_purge_ran_into_opens_nothing(void **state)
{
	(void)state;
	start(100 * MIB, 0);
	sample(1, 300, 300);
	purge(4, true);
	sample(4, 300, 300);
	sample(3, 300, 300);
	window_detector_sample(d, &(struct window_sample){ .time_ns = 5 * S, .began_ns = 3 * S,
							   .retained = 300 * MIB, .purgeable = 300 * MIB });
	assert_int_equal(windows(9), 1);
	window_detector_sample(d, &(struct window_sample){ .time_ns = 7 * S, .began_ns = 6 * S,
							   .retained = 300 * MIB, .purgeable = 300 * MIB });
	assert_int_equal(windows(9), 2);
}

/* The reading is given before the purge has ended: who looks at once is told by what it ends. */
static void a_reading_in_the_midst_of_a_purge_ends_nothing(void **state)
{
	struct window_finding w;

	(void)state;
	start(100 * MIB, 0);
	reading(1, 1, 400);
	assert_int_equal(window_detector_news(d, S, false, &w), WINDOW_OPENED);
	purge_begins(7, 3);
	reading(2, 4, 10);
	assert_int_equal(window_detector_news(d, 4 * S, false, &w), WINDOW_NO_NEWS);
	purge_is_over(7);
	purge_from(3, 5, true);
	assert_int_equal(window_detector_news(d, 5 * S, false, &w), WINDOW_CLOSED);
	assert_true(w.closed_by_purge);
	assert_int_equal(w.end_ns, 5 * S);
}

/* It is the next one that counts, if the purge was none for the window. */
static void a_reading_after_an_ineffective_purge_ends_it(void **state)
{
	(void)state;
	start(100 * MIB, 0);
	reading(1, 1, 400);
	purge_begins(7, 3);
	purge_begins(8, 3);
	reading(4, 4, 10);
	purge_is_over(7);
	purge_from(3, 5, false);
	reading(6, 6, 10);
	assert_true(window_detector_is_open(d)); /* the other one goes on */
	purge_is_over(8);
	purge_from(3, 7, false);
	reading(8, 8, 10);
	assert_int_equal(windows(9), 1);
	assert_int_equal(view[0].end_ns, 8 * S);
	assert_int_equal(view[0].ineffective_purges, 2);
	assert_false(view[0].closed_by_purge);
}

/* Records wait in the ring: it ended before the purge began. */
static void a_reading_before_a_purge_in_flight_ends_it(void **state)
{
	(void)state;
	start(100 * MIB, 0);
	reading(1, 1, 400);
	purge_begins(7, 5);
	reading(3, 4, 10);
	assert_false(window_detector_is_open(d));
}

/* The record of its end was lost, or its thread was. */
static void a_purge_without_an_end_is_not_waited_for_for_ever(void **state)
{
	(void)state;
	start(100 * MIB, 0);
	reading(1, 1, 400);
	for (uint32_t tid = 1; tid <= 100; tid++)
		purge_begins(tid, 3);
	purge_begins(100, 4); /* it was left by a longjmp */
	reading(5, 5, 10);
	assert_true(window_detector_is_open(d));
	reading(4 + WINDOW_PURGE_NS / S, 5 + WINDOW_PURGE_NS / S, 10);
	assert_false(window_detector_is_open(d));
}

/* What nobody announced is known at its end only. */
static void a_purge_that_the_reading_met_is_what_ended_it(void **state)
{
	(void)state;
	start(100 * MIB, 0);
	reading(1, 1, 400);
	reading(3, 5, 10);
	assert_false(window_detector_is_open(d));
	purge_from(4, 6, true);
	assert_int_equal(windows(9), 1);
	assert_true(view[0].closed_by_purge);
	assert_int_equal(view[0].end_ns, 5 * S);
	/* Not so of one that began after it, or had ended before it. */
	reading(10, 11, 400);
	reading(12, 13, 10);
	purge_from(14, 15, true);
	assert_int_equal(windows(19), 2);
	assert_false(view[1].closed_by_purge);
	reading(20, 21, 400);
	reading(24, 25, 10);
	purge_from(22, 23, true);
	assert_int_equal(windows(29), 3);
	assert_false(view[2].closed_by_purge);
}

static void a_return_that_the_reading_met_is_what_ended_it(void **state)
{
	(void)state;
	start(100 * MIB, 0);
	reading(1, 1, 400);
	reading(3, 5, 10);
	own_return(4);
	assert_int_equal(windows(9), 1);
	assert_true(view[0].closed_by_itself && !view[0].closed_by_purge);
	purge_from(4, 6, true); /* it has its cause */
	assert_int_equal(windows(9), 1);
	assert_false(view[0].closed_by_purge);
}

static void a_sample_during_the_purge_moves_the_end(void **state)
{
	(void)state;
	start(100 * MIB, 0);
	sample(2, 300, 300);
	sample(5, 200, 200);
	purge(4, true);
	assert_int_equal(windows(9), 1);
	assert_int_equal(view[0].end_ns, 5 * S);
	assert_true(view[0].byte_seconds >= 0);
}

static void the_newest_are_kept_in_order(void **state)
{
	const uint64_t cnt = 3 * WINDOW_KEPT + 5;

	(void)state;
	start(100 * MIB, 0);
	for (uint64_t i = 1; i <= cnt; i++) {
		size_t seen, kept = i < WINDOW_KEPT ? i : WINDOW_KEPT;

		sample(10 * i, 300, 300);
		seen = windows(10 * i);
		assert_int_equal(view[seen - 1].start_ns, 10 * i * S);
		assert_int_equal(view[seen - 1].end_ns, 0);
		sample(10 * i + 1, 0, 0);
		assert_int_equal(windows(10 * i + 1), kept);
		assert_int_equal(view[kept - 1].end_ns, (10 * i + 1) * S);
		assert_int_equal(view[0].start_ns, 10 * (i - kept + 1) * S);
	}
	assert_int_equal(window_detector_forgotten(d), cnt - WINDOW_KEPT);
}

static void what_was_freed_belongs_to_the_open_one(void **state)
{
	const struct window_freed first[] = {{.site = 3, .bytes = 70 * MIB}, {.site = 9, .bytes = MIB}};
	const struct window_freed then[] = {{.site = 9, .bytes = 90 * MIB}};

	(void)state;
	start(100 * MIB, 0);
	assert_false(window_detector_is_open(d));
	window_detector_freed(d, first, 2); /* none is open: nobody's */
	sample(1, 200, 200);
	assert_true(window_detector_is_open(d));
	assert_int_equal(windows(1), 1);
	assert_int_equal(view[0].freed_cnt, 0);
	window_detector_freed(d, first, 2);
	assert_int_equal(windows(1), 1);
	assert_int_equal(view[0].freed_cnt, 2);
	assert_int_equal(view[0].freed[0].site, 3);
	assert_int_equal(view[0].freed[1].bytes, MIB);
	window_detector_freed(d, then, 1);
	purge(2, true);
	assert_false(window_detector_is_open(d));
	window_detector_freed(d, first, 2); /* it is closed: stays as it was */
	sample(3, 200, 200);
	assert_int_equal(windows(3), 2);
	assert_int_equal(view[0].freed_cnt, 1);
	assert_int_equal(view[0].freed[0].site, 9);
	assert_int_equal(view[0].freed[0].bytes, 90 * MIB);
	assert_int_equal(view[1].freed_cnt, 0);
}

/* However short it is yet: what is freed in its first seconds counts too. */
static void one_that_has_not_lasted_is_open(void **state)
{
	(void)state;
	start(100 * MIB, 5);
	sample(1, 200, 200);
	assert_int_equal(windows(2), 0);
	assert_true(window_detector_is_open(d));
}

static void what_the_allocator_returns_by_itself_ends_it(void **state)
{
	(void)state;
	start(100 * MIB, 0);
	sample(1, 500, 500);
	own_return(4);
	assert_int_equal(windows(5), 1);
	assert_int_equal(view[0].end_ns, 4 * S);
	assert_true(view[0].closed_by_itself && !view[0].closed_by_purge);
	assert_int_equal((uint64_t)view[0].byte_seconds, 3 * 500 * MIB);
	sample(4, 500, 500); /* read before */
	assert_false(window_detector_is_open(d));
	sample(6, 500, 500); /* it was not enough */
	assert_true(window_detector_is_open(d));
}

static void what_the_allocator_returns_defers_one(void **state)
{
	(void)state;
	start(100 * MIB, 2);
	own_return(3);
	sample(2, 500, 500);
	assert_false(window_detector_is_open(d));
	sample(4, 90, 90);
	assert_int_equal(windows(10), 0);
}

static enum window_news news(uint64_t second, struct window_finding *w)
{
	return window_detector_news(d, second * S, false, w);
}

static void each_is_told_of_once_it_counts_and_when_it_ends(void **state)
{
	struct window_finding w;

	(void)state;
	start(100 * MIB, 5);
	sample(1, 500, 400);
	assert_int_equal(news(5, &w), WINDOW_NO_NEWS);
	assert_int_equal(news(6, &w), WINDOW_OPENED); /* no sample needs to come for that */
	assert_int_equal(w.start_ns, 1 * S);
	assert_int_equal(w.peak_retained, 500 * MIB);
	assert_int_equal(news(7, &w), WINDOW_NO_NEWS);
	purge(8, true);
	assert_int_equal(news(8, &w), WINDOW_CLOSED);
	assert_int_equal(w.end_ns, 8 * S);
	assert_true(w.closed_by_purge);
	assert_int_equal(news(9, &w), WINDOW_NO_NEWS);
}

static void one_that_nobody_looked_at_is_told_whole(void **state)
{
	struct window_finding w;

	(void)state;
	start(100 * MIB, 2);
	sample(1, 500, 500);
	sample(2, 10, 10); /* too short */
	sample(3, 600, 600);
	sample(9, 10, 10);
	sample(10, 700, 700);
	assert_int_equal(news(20, &w), WINDOW_OPENED);
	assert_int_equal(w.start_ns, 3 * S);
	assert_int_equal(news(20, &w), WINDOW_CLOSED);
	assert_int_equal(w.start_ns, 3 * S);
	assert_int_equal(news(20, &w), WINDOW_OPENED);
	assert_int_equal(w.start_ns, 10 * S);
	assert_int_equal(news(20, &w), WINDOW_NO_NEWS);
}

/* The purge was in the ring when the window was told of. */
static void what_was_told_of_ends_however_short_it_was(void **state)
{
	struct window_finding w;

	(void)state;
	start(100 * MIB, 5);
	sample(1, 500, 500);
	assert_int_equal(news(6, &w), WINDOW_OPENED);
	purge(5, true);
	sample(7, 900, 900);
	assert_int_equal(news(20, &w), WINDOW_CLOSED);
	assert_int_equal(w.end_ns, 5 * S);
	assert_int_equal(news(20, &w), WINDOW_OPENED);
	assert_int_equal(w.start_ns, 7 * S);
}

static void the_end_of_all_ends_what_was_told_of(void **state)
{
	struct window_finding w;

	(void)state;
	start(100 * MIB, 2);
	sample(1, 500, 500);
	assert_int_equal(window_detector_news(d, 4 * S, true, &w), WINDOW_NO_NEWS); /* nobody knows of it */
	assert_int_equal(news(4, &w), WINDOW_OPENED);
	assert_int_equal(window_detector_news(d, 6 * S, true, &w), WINDOW_CLOSED);
	assert_int_equal(w.end_ns, 6 * S);
	assert_int_equal(window_detector_news(d, 7 * S, true, &w), WINDOW_NO_NEWS);
	assert_int_equal(windows(7), 1); /* in reports it is still open */
	assert_int_equal(view[0].end_ns, 0);
}

static void of_forgotten_ones_nothing_is_told(void **state)
{
	struct window_finding w;
	unsigned opened = 0;

	(void)state;
	start(100 * MIB, 0);
	sample(1, 300, 300);
	assert_int_equal(news(1, &w), WINDOW_OPENED);
	for (uint64_t i = 1; i <= WINDOW_KEPT + 10; i++) {
		sample(10 * i, 300, 300);
		sample(10 * i + 1, 0, 0);
	}
	assert_int_equal(news(100000, &w), WINDOW_OPENED);
	assert_int_equal(w.start_ns, 110 * S);
	for (opened = 1; news(100000, &w) == WINDOW_CLOSED; opened++)
		if (news(100000, &w) != WINDOW_OPENED)
			break;
	assert_int_equal(opened, WINDOW_KEPT);
}

#define TEST(f) cmocka_unit_test_teardown(f, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(opens_above_closes_below_four_fifths),
		TEST(both_must_exceed_and_either_ends_it),
		TEST(default_threshold_follows_rss),
		TEST(an_effective_purge_ends_it),
		TEST(an_ineffective_purge_does_not),
		TEST(short_ones_do_not_count),
		TEST(the_peak_is_where_retained_was_highest),
		TEST(byte_seconds_are_trapezoids),
		TEST(unknown_samples_are_skipped),
		TEST(a_reading_that_a_purge_ran_into_opens_nothing),
		TEST(a_reading_in_the_midst_of_a_purge_ends_nothing),
		TEST(a_reading_after_an_ineffective_purge_ends_it),
		TEST(a_reading_before_a_purge_in_flight_ends_it),
		TEST(a_purge_without_an_end_is_not_waited_for_for_ever),
		TEST(a_purge_that_the_reading_met_is_what_ended_it),
		TEST(a_return_that_the_reading_met_is_what_ended_it),
		TEST(a_sample_during_the_purge_moves_the_end),
		TEST(the_newest_are_kept_in_order),
		TEST(what_was_freed_belongs_to_the_open_one),
		TEST(one_that_has_not_lasted_is_open),
		TEST(what_the_allocator_returns_by_itself_ends_it),
		TEST(what_the_allocator_returns_defers_one),
		TEST(each_is_told_of_once_it_counts_and_when_it_ends),
		TEST(one_that_nobody_looked_at_is_told_whole),
		TEST(what_was_told_of_ends_however_short_it_was),
		TEST(the_end_of_all_ends_what_was_told_of),
		TEST(of_forgotten_ones_nothing_is_told),
	};

	window_detector_free(NULL);
	return cmocka_run_group_tests_name("window", tests, NULL, NULL);
}
