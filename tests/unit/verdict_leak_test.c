/* When live memory that grows is a leak, and when it is none. */
#include "verdict_scene.h"

static void only_the_site_grows(struct fixture *x, unsigned i)
{
	x->sites[0].live.bytes = 200 * MIB + i * MIB;
}

static void only_the_heap_grows(struct fixture *x, unsigned i)
{
	x->heap.live_heap = 280 * MIB + i * MIB;
}

static void a_leak(void **state)
{
	const struct verdict_line *line;
	struct fixture x;

	(void)state;
	quiet(&x);
	run(&x, 20, site_and_heap_grow);
	line = says(&x, VERDICT_LEAK);
	assert_non_null(line);
	assert_int_equal(line->severity, VERDICT_WARNING);
	assert_true(bytes_of(line, "site_grown") >= 8 * MIB && bytes_of(line, "site_grown") <= 15 * MIB);
	assert_true(real_of(line, "bytes_per_second") > 0.9 * MIB &&
		    real_of(line, "bytes_per_second") < 1.1 * MIB);
	HAS(line->sentence, "make_row (app)");
	HAS(line->sentence, "60.0 MiB a minute");
	assert_ptr_equal(line->stack, x.views[0].stack);
}

static void a_leak_on_thin_evidence(void **state)
{
	struct fixture x;

	(void)state;
	quiet(&x);
	run(&x, TREND_RISE_MARKS_MIN - 1, site_and_heap_grow); /* too few moments */
	assert_null(says(&x, VERDICT_LEAK));
	x.s.pid++;
	run(&x, 20, only_the_site_grows); /* what it gained others lost */
	assert_null(says(&x, VERDICT_LEAK));
	x.s.pid++;
	run(&x, 20, site_and_heap_grow);
	assert_non_null(says(&x, VERDICT_LEAK)->stack);
	/* the heap's own figures still tell that live grows, but not where */
	x.allocs.sample_bytes = 64 * KIB; /* of 219 MiB: an error of 3.7 MiB */
	assert_null(says(&x, VERDICT_LEAK)->stack);
	x.allocs.sample_bytes = 512;
	assert_non_null(says(&x, VERDICT_LEAK)->stack);
	x.allocs.sample_bytes = 0;
	x.s.lost[LOSS_RING_FULL] = x.allocs.totals.allocated.cnt; /* as many frees may be missing */
	assert_null(says(&x, VERDICT_LEAK)->stack);
	x.s.lost[LOSS_RING_FULL] = 10;
	assert_non_null(says(&x, VERDICT_LEAK)->stack);
	x.s.trend = NULL;
	assert_null(says(&x, VERDICT_LEAK));
}

static unsigned percent; /* of the next runs */

static void an_estimate_grows(struct fixture *x, unsigned i)
{
	site_and_heap_grow(x, i);
	estimate(x, percent);
}

/* Of 205 to 215 MiB: 1 % is some 4 MiB of the 10 that it grows by, 3 % is more. */
static void a_leak_of_estimates(void **state)
{
	const struct verdict_line *line;
	struct fixture x;

	(void)state;
	quiet(&x);
	percent = 1;
	run(&x, 20, an_estimate_grows);
	line = says(&x, VERDICT_LEAK);
	assert_ptr_equal(line->stack, x.views[0].stack);
	HAS(line->sentence, "holds about 219 MiB by now and grew by about");
	assert_true(bytes_of(line, "site_grown_least") + 3 * MIB < bytes_of(line, "site_grown"));
	assert_true(bytes_of(line, "site_grown_least") > 4 * MIB);
	x.s.pid++;
	percent = 3;
	run(&x, 20, an_estimate_grows);
	line = says(&x, VERDICT_LEAK); /* the heap's own figures grow; where, nobody knows */
	assert_null(line->stack);
	HAS(line->sentence, "at no single site that is known well enough");
	HAS(line->advice, "--max-overhead");
}

/* Nor is it known that a site was small which was not seen. */
static void there_later(struct fixture *x, unsigned i)
{
	x->sites[0].live.bytes = i * i * 100 * KIB;
	x->heap.live_heap = 280 * MIB + x->sites[0].live.bytes;
	x->allocs.site_cnt = i < 6 ? 0 : 1;
}

static void not_seen_at_first(struct fixture *x, unsigned i)
{
	there_later(x, i);
	estimate(x, percent);
}

static void a_leak_of_events_alone(struct fixture *x, unsigned i)
{
	an_estimate_grows(x, i);
	x->heap.taken_ns = 0;
	x->allocs.totals.live.bytes = 280 * MIB + i * MIB;
	x->allocs.budget.totals.live = fixture_bounds(&x->allocs.totals.live, percent);
	x->allocs.site_cnt = 0;
}

static void what_was_not_seen_has_not_grown(void **state)
{
	struct fixture x;

	(void)state;
	quiet(&x);
	percent = 1;
	run(&x, 20, there_later);
	assert_ptr_equal(says(&x, VERDICT_LEAK)->stack, x.views[0].stack);
	x.s.pid++;
	run(&x, 20, not_seen_at_first);
	assert_null(says(&x, VERDICT_LEAK)->stack);
	x.s.pid++;
	run(&x, 20, a_leak_of_events_alone); /* by 10 of 285, ± 3 and 3: 4 MiB at the least */
	assert_non_null(says(&x, VERDICT_LEAK));
	x.s.pid++;
	percent = 2;
	run(&x, 20, a_leak_of_events_alone);
	assert_null(says(&x, VERDICT_LEAK));
}

static void a_command_that_ends_needs_what_it_holds(void **state)
{
	struct fixture x;

	(void)state;
	quiet(&x);
	run(&x, 20, site_and_heap_grow);
	x.s.gone = true;
	assert_int_equal(says(&x, VERDICT_LEAK)->severity, VERDICT_NOTE);
	x.s.killed = true;
	assert_int_equal(says(&x, VERDICT_LEAK)->severity, VERDICT_WARNING);
	x.s.killed = false;
	x.s.started_ns = 0;
	x.s.time_ns += LEAK_COMMAND_NS;
	assert_int_equal(says(&x, VERDICT_LEAK)->severity, VERDICT_WARNING);
}

static void frees_all_in_the_end(struct fixture *x, unsigned i)
{
	site_and_heap_grow(x, i < 20 ? i : 0);
}

/* Python frees everything when it ends, and is read after that. */
static void a_leak_that_is_freed_at_the_end(void **state)
{
	struct fixture x;

	(void)state;
	quiet(&x);
	x.s.gone = true;
	run(&x, 21, frees_all_in_the_end);
	assert_int_equal(says(&x, VERDICT_LEAK)->severity, VERDICT_NOTE);
	HAS(says(&x, VERDICT_LEAK)->sentence, "until the program ended");
	x.s.gone = false; /* it lives, and has freed what it held */
	assert_null(says(&x, VERDICT_LEAK));
}

static void a_leak_that_no_probe_sees(void **state)
{
	const struct verdict_line *line;
	struct fixture x;

	(void)state;
	quiet(&x);
	run(&x, 20, only_the_heap_grows);
	line = says(&x, VERDICT_LEAK);
	assert_non_null(line);
	assert_null(line->stack);
	x.s.allocs = NULL;
	HAS(says(&x, VERDICT_LEAK)->advice, "--no-alloc");
}

static void layer_grows(struct fixture *x, unsigned i)
{
	x->allocators[2].live_heap = 40 * MIB + i * MIB;
	x->heap.live_heap = 280 * MIB + i * MIB;
}

static void a_leak_of_small_objects(void **state)
{
	struct fixture x;

	(void)state;
	quiet(&x);
	fixture_layer(&x);
	x.heap.live_heap = 280 * MIB;
	run(&x, 20, layer_grows);
	HAS(says(&x, VERDICT_LEAK)->sentence, "in pymalloc 3.11");
	HAS(says(&x, VERDICT_LEAK)->advice, "tracemalloc");
}

static void garbage_is_no_leak(void **state)
{
	struct fixture x;

	(void)state;
	quiet(&x);
	run(&x, 20, site_and_heap_grow);
	x.gaps[0] = (struct collector_gap){.start_ns = 50 * SEC,
					   .phases = 3,
					   .live_first = 100 * MIB,
					   .live_last = 120 * MIB,
					   .flagged = true};
	x.s.gaps = x.gaps;
	x.s.gap_cnt = 1;
	assert_null(says(&x, VERDICT_LEAK));
	assert_non_null(says(&x, VERDICT_NO_COLLECTION));
	x.gaps[0].live_last = 101 * MIB; /* explains nothing of it */
	assert_non_null(says(&x, VERDICT_LEAK));
}

/* ---- retention ---- */

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_leak),
		TEST(a_leak_on_thin_evidence),
		TEST(a_leak_of_estimates),
		TEST(what_was_not_seen_has_not_grown),
		TEST(a_command_that_ends_needs_what_it_holds),
		TEST(a_leak_that_is_freed_at_the_end),
		TEST(a_leak_that_no_probe_sees),
		TEST(a_leak_of_small_objects),
		TEST(garbage_is_no_leak),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
