/* Marks over scripted streams of marks and readings: which reading goes with which mark. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "detect/marks.h"
#include "heap/state.h"

#define MS 1000000ULL

static struct marks *m;

static int start(void **state)
{
	(void)state;
	m = marks_new();
	return m ? 0 : -1;
}

static int stop(void **state)
{
	(void)state;
	marks_free(m);
	return 0;
}

static uint64_t mark(uint64_t ms, enum mark_reads reads)
{
	return marks_add(m, &(struct mark){
				    .time_ns = ms * MS, .kind = "mark", .text = "", .rss = ms, .reads = reads});
}

/* Its figures are its end. */
static void reading(uint64_t began_ms, uint64_t taken_ms)
{
	marks_reading(m, &(struct mark_reading){.began_ns = began_ms * MS,
						.taken_ns = taken_ms * MS,
						.live_heap = taken_ms,
						.retained = taken_ms,
						.purgeable = taken_ms});
}

static const struct mark_finding *nth(size_t i)
{
	const struct mark_finding *const *view;

	assert_true(i < marks_view(m, &view));
	return view[i];
}

/* One whose nearest reading is not known yet has the last one before it, or none. */
static void test_nearest(void **state)
{
	(void)state;
	mark(50, MARK_READS_NEAREST);
	assert_int_equal(nth(0)->retained, UNKNOWN);
	reading(90, 100);
	assert_int_equal(nth(0)->retained, 100);
	assert_int_equal(nth(0)->state_ns, 50 * (int64_t)MS);
	mark(130, MARK_READS_NEAREST);
	mark(180, MARK_READS_NEAREST);
	assert_int_equal(nth(2)->retained, 100);
	assert_int_equal(nth(2)->state_ns, -80 * (int64_t)MS);
	reading(190, 200);
	assert_int_equal(nth(0)->retained, 100);
	assert_int_equal(nth(1)->retained, 100); /* 30 before, 70 after */
	assert_int_equal(nth(2)->retained, 200); /* 80 before, 20 after */
	assert_int_equal(nth(2)->live_heap, 200);
	assert_int_equal(nth(2)->purgeable, 200);
}

/* The program stands still at it: what was read before is not what it left. */
static void test_awaited(void **state)
{
	(void)state;
	reading(90, 100);
	mark(101, MARK_READS_AWAITED);
	assert_int_equal(nth(0)->retained, 100);
	reading(100, 102); /* under way at the mark: nearest, but not final */
	assert_int_equal(marks_settled(m), 0);
	reading(900, 1000);
	assert_int_equal(nth(0)->retained, 1000);
	assert_int_equal(marks_settled(m), 1);
	mark(1001, MARK_READS_AWAITED);
	reading(4000, 4002); /* nobody waits that long */
	assert_int_equal(nth(1)->retained, 1000);
}

static void test_settled(void **state)
{
	(void)state;
	assert_int_equal(mark(10, MARK_READS_NEAREST), 1);
	assert_int_equal(mark(20, MARK_READS_NEAREST), 2);
	assert_int_equal(mark(30, MARK_READS_NEAREST), 3);
	assert_int_equal(marks_settled(m), 0);
	reading(5, 15);
	assert_int_equal(marks_settled(m), 0);
	reading(20, 25);
	assert_int_equal(marks_settled(m), 2);
	marks_reading(m, &(struct mark_reading){.began_ns = 40 * MS}); /* it failed */
	assert_int_equal(marks_settled(m), 3);
	assert_int_equal(nth(2)->retained, 25);
}

static void test_tallies(void **state)
{
	struct mark_tally *tallies;
	char kind[16];

	(void)state;
	assert_int_equal(marks_expect(m, "never_called"), 0);
	mark(1, MARK_READS_NEAREST);
	mark(2, MARK_READS_NEAREST);
	assert_int_equal(marks_tallies(m, &tallies), 2);
	assert_string_equal(tallies[0].kind, "never_called");
	assert_int_equal(tallies[0].cnt, 0);
	assert_string_equal(tallies[1].kind, "mark");
	assert_int_equal(tallies[1].cnt, 2);
	for (int i = 2; i < MARK_KINDS_MAX; i++) {
		snprintf(kind, sizeof(kind), "kind %d", i);
		assert_int_equal(marks_expect(m, kind), 0);
	}
	assert_int_equal(marks_add(m, &(struct mark){.kind = "one too many", .text = ""}), 0);
	assert_int_equal(mark(3, MARK_READS_NEAREST), 3);
}

/* What is said with a mark is kept with it. */
static void test_texts(void **state)
{
	char kind[] = "batch", text[] = "unit 1";

	(void)state;
	marks_add(m, &(struct mark){.kind = kind, .text = text});
	kind[0] = text[0] = 'X';
	assert_string_equal(nth(0)->kind, "batch");
	assert_string_equal(nth(0)->text, "unit 1");
}

static void test_bounded(void **state)
{
	const struct mark_finding *const *view;
	uint64_t last = 0;

	(void)state;
	for (uint64_t i = 1; i <= 2 * MARKS_KEPT + 7; i++)
		last = mark(i, MARK_READS_NEAREST);
	assert_int_equal(last, 2 * MARKS_KEPT + 7);
	assert_int_equal(marks_total(m), last);
	assert_int_equal(marks_view(m, &view), MARKS_KEPT);
	assert_int_equal(view[0]->rss, MARKS_KEPT + 8);
	assert_int_equal(view[MARKS_KEPT - 1]->rss, last);
	reading(last + 1, last + 2);
	assert_int_equal(marks_settled(m), last);
	assert_int_equal(view[0]->retained, last + 2);
}

/* A purge leaves what the first reading after it shows, however late: one before is of another state. */
static void test_later(void **state)
{
	struct mark_finding f = mark_unread(&(struct mark){.time_ns = 100 * MS, .rss = 7});
	struct mark_reading before = {.began_ns = 98 * MS, .taken_ns = 101 * MS, .retained = 1},
			    after = {.began_ns = 90000 * MS, .taken_ns = 90001 * MS, .retained = 2};

	(void)state;
	assert_false(mark_read(&f, MARK_READS_LATER, &before));
	assert_int_equal(f.retained, UNKNOWN);
	assert_true(mark_read(&f, MARK_READS_LATER, &after));
	assert_int_equal(f.retained, 2);
	assert_int_equal(f.rss, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_nearest, start, stop),
		cmocka_unit_test_setup_teardown(test_awaited, start, stop),
		cmocka_unit_test_setup_teardown(test_settled, start, stop),
		cmocka_unit_test_setup_teardown(test_tallies, start, stop),
		cmocka_unit_test_setup_teardown(test_texts, start, stop),
		cmocka_unit_test_setup_teardown(test_bounded, start, stop),
		cmocka_unit_test(test_later),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
