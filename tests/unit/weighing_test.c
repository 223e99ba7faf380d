/* What cells stand for, where their progress is told by a share of CPU time that turns out to be another. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "heap/estimate.h"

#define MS 1000000ULL
#define CELLS 400
#define CHANCE 0.01
#define CPU (5 * MS) /* of a cell */
#define OWN 0.05     /* of that, in truth */
#define HITS 2000    /* in a cell */

static uint32_t share(double of)
{
	return (uint32_t)(of * 0x1p32);
}

/*
 * A process with HITS in each CPU of a cell, and one cell in a hundred of its own time. Until `known` cells
 * have passed their share is taken to be `guess`. What was seen, by weight.
 */
static double weigh(struct weighing *w, double guess, unsigned known)
{
	double own = OWN * CPU, seen = 0;

	for (unsigned i = 0; i < CELLS; i++) {
		double said = i < known ? guess : OWN;
		struct event_cell cell = {
			.head.time = (i + 1) * 1000 * MS,
			.number = i + 1,
			.chance = (uint64_t)(CHANCE * 0x1p32),
			.cpu = (uint64_t)(said * CPU),
			.progress = (uint64_t)(own * (1 / CHANCE - 1)),
			.state = CELL_BEGIN,
		};

		weighing_begin(w, &cell);
		cell.state = CELL_END;
		cell.head.time += 10 * MS;
		cell.cpu = CPU;
		cell.hits = HITS;
		cell.by_share = 1;
		cell.progress = (uint64_t)(said * CPU);
		cell.progress_error = cell.progress / 10;
		cell.share = share(said);
		cell.share_error = share(said / 10);
		seen += HITS * weighing_end(w, &cell);
	}
	return seen;
}

static void check(double guess, unsigned known)
{
	struct weighing w = {.own = 0};
	double seen = weigh(&w, guess, known), all = HITS * (double)CELLS / CHANCE;
	double estimate = weighing_factor(&w, 0) * seen;

	print_message("share taken to be %.2f until cell %u: %.3f of the truth\n", guess, known,
		      estimate / all);
	assert_true(fabs(estimate / all - 1) < 0.03);
}

static void test_a_share_that_was_right(void **state)
{
	(void)state;
	check(OWN, 0);
}

static void test_what_was_told_by_a_wrong_share_is_mended(void **state)
{
	(void)state;
	check(2 * OWN, CELLS / 2);
	check(OWN / 3, CELLS / 2);
	check(4 * OWN, CELLS - 1); /* known at the very end */
}

/* Its error is common to all cells: many of them do not make it smaller. */
static void test_the_error_of_the_share_stays(void **state)
{
	struct weighing w = {.own = 0};
	double sums[ESTIMATE_GROUPS], error;

	(void)state;
	weigh(&w, OWN, 0);
	for (int g = 0; g < ESTIMATE_GROUPS; g++)
		sums[g] = w.group[g] * HITS / (OWN * CPU);
	error = sqrt(estimate_variance(&w, sums)) / (w.weighed * HITS / (OWN * CPU));
	assert_true(fabs(error - 0.1) < 0.01);
}

/* Progress that was measured is left alone. */
static void test_measured_progress_is_not_mended(void **state)
{
	struct event_cell cell = {
		.head.time = MS, .number = 1, .chance = 1ULL << 31, .cpu = 2 * MS, .state = CELL_BEGIN};
	struct weighing w = {.own = 0};
	double factor;

	(void)state;
	weighing_begin(&w, &cell);
	cell.state = CELL_END;
	cell.cpu = 5 * MS;
	cell.hits = 10;
	cell.progress = 4 * MS;
	cell.share = share(0.1);
	weighing_end(&w, &cell);
	factor = weighing_factor(&w, 0);
	w.share = 0.9;
	assert_true(weighing_factor(&w, 0) == factor);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_share_that_was_right),
		cmocka_unit_test(test_what_was_told_by_a_wrong_share_is_mended),
		cmocka_unit_test(test_the_error_of_the_share_stays),
		cmocka_unit_test(test_measured_progress_is_not_mended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
