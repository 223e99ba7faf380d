/* Raking on hand-made parts, size steps, and the sample of blocks by address. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "heap/block_sample.h"
#include "heap/raking.h"
#include "heap/steps.h"
#include "heap/walk.h"

static void near(double is, double wanted)
{
	assert_true(fabs(is - wanted) < 1e-3 * (1 + fabs(wanted)));
}

static struct rake_part part(double was, double doubt, double variance, double most)
{
	return (struct rake_part){.was = was, .doubt = doubt, .variance = variance, .most = most};
}

static void parts_sum_up_to_the_total(void **state)
{
	struct rake_part parts[] = {part(60, 60, 9, INFINITY), part(30, 30, 9, INFINITY),
				    part(10, 0, 0, INFINITY)};

	(void)state;
	rake(parts, 3, 70);
	near(parts[0].is + parts[1].is + parts[2].is, 70);
	/* What is in doubt gives way, in proportion; what is known hardly does. */
	near((60 - parts[0].is) / (30 - parts[1].is), 2);
	assert_true(parts[2].is > 9.8);
	rake(parts, 3, 130);
	near(parts[0].is + parts[1].is + parts[2].is, 130);
	assert_true(parts[0].is > 75 && parts[2].is < 10.5);
}

/* All were thought to be fifty times too many: who is doubted a little less does not have all that is left. */
static void what_is_far_too_much_shrinks_alike(void **state)
{
	struct rake_part parts[] = {part(10000, 10000, 9, INFINITY), part(1000, 970, 9, INFINITY),
				    part(0, 0, 0, INFINITY)};

	(void)state;
	rake(parts, 3, 220);
	near(parts[0].is + parts[1].is + parts[2].is, 220);
	assert_true(parts[0].is > 190 && parts[1].is > 15);
	rake(parts, 3, 0);
	near(parts[0].is + parts[1].is, 0);
}

static void bounds_hold_and_the_rest_goes_to_others(void **state)
{
	struct rake_part parts[] = {part(50, 50, 4, 55), part(50, 50, 4, INFINITY)};
	struct rake_part small[] = {part(5, 1000, 4, INFINITY), part(100, 1, 4, INFINITY)};
	struct rake_part full[] = {part(5, 5, 1, 6), part(5, 5, 1, 6)};

	(void)state;
	rake(parts, 2, 200);
	near(parts[0].is, 55);
	near(parts[1].is, 145);
	rake(small, 2, 60);
	near(small[0].is, 0);
	near(small[1].is, 60);
	/* More than there can be: no more than that. */
	rake(full, 2, 100);
	near(full[0].is + full[1].is, 12);
}

static void nothing_is_shared_out_without_parts(void **state)
{
	struct rake_part none[] = {part(0, 0, 0, INFINITY)};

	(void)state;
	rake(NULL, 0, 100);
	rake(none, 1, 0);
	near(none[0].is, 0);
}

/* Of a part that is nearly all of the total, the total tells all but what the others' error is. */
static void what_variance_is_left(void **state)
{
	struct rake_part parts[] = {part(1000, 1000, 10000, INFINITY), part(1, 1, 1, INFINITY)};

	(void)state;
	rake(parts, 2, 900);
	assert_true(parts[0].left < 2);
	assert_true(parts[1].left <= 1.02);
}

static void steps_are_as_sizes_are(void **state)
{
	(void)state;
	for (unsigned i = 0; i < STEP_CNT; i++)
		assert_int_equal(size_step(size_step_from(i)), i);
	for (uint64_t size = 1; size < 1ULL << 33; size += 1 + size / 64) {
		unsigned step = size_step(size);

		assert_true(size_step_from(step) <= size);
		assert_true(step == STEP_CNT - 1 || size < size_step_from(step + 1));
	}
	assert_int_equal(size_step(UINT64_MAX), STEP_CNT - 1);
	assert_int_not_equal(size_step(32), size_step(48)); /* neighbours of glibc's */
	assert_int_not_equal(size_step(1024), size_step(1152));
}

static void classes_are_sums_of_steps(void **state)
{
	struct heap_walk *walk = calloc(1, sizeof(*walk));
	uint64_t cnt = 0;

	(void)state;
	for (unsigned i = 0; i < STEP_CNT; i++)
		walk->live_step[i] = (struct heap_blocks){1, size_step_from(i)};
	for (unsigned i = 0; i < HEAP_CLASS_CNT; i++)
		cnt += heap_live_class(walk, i).cnt;
	assert_int_equal(cnt, STEP_CNT);
	assert_int_equal(heap_live_class(walk, 10).cnt, 8);
	assert_int_equal(heap_live_class(walk, 4).cnt, 2); /* 16 and 24 bytes */
	free(walk);
}

static bool is_even(const void *arg, uint64_t addr)
{
	(void)arg;
	return addr / 16 % 2 == 0;
}

static void a_sample_is_of_all_alike_and_the_same_again(void **state)
{
	struct block_sample one = {.v = NULL}, two = {.v = NULL};
	const uint64_t cnt = 300000;
	size_t low = 0;

	(void)state;
	for (uint64_t i = 1; i <= cnt; i++)
		block_sample_add(&one, 0x5500000000 + 16 * i, 48);
	for (uint64_t i = cnt; i >= 1; i--) {
		block_sample_add(&two, 0x5500000000 + 16 * i, 48);
		block_sample_add(&two, 0x5500000000 + 16 * i, 64); /* met again */
	}
	block_sample_finish(&one, is_even, NULL);
	block_sample_finish(&two, is_even, NULL);
	assert_true(one.cnt > BLOCK_SAMPLE_MAX / 8 && one.cnt <= BLOCK_SAMPLE_MAX);
	assert_true(fabs((double)(one.cnt << one.halvings) / ((double)cnt / 2) - 1) < 0.1);
	for (size_t i = 0; i < one.cnt; i++) {
		assert_true(is_even(NULL, one.v[i].addr));
		assert_true(!i || one.v[i].addr > one.v[i - 1].addr);
		low += one.v[i].addr < 0x5500000000 + 16 * cnt / 2;
	}
	assert_true(fabs((double)low / (double)one.cnt - 0.5) < 0.05);
	/* The other one has halved once more or as often: it is a part of the first, or the same. */
	assert_true(two.halvings >= one.halvings);
	for (size_t i = 0, j = 0; j < two.cnt; j++) {
		while (i < one.cnt && one.v[i].addr < two.v[j].addr)
			i++;
		assert_true(i < one.cnt && one.v[i].addr == two.v[j].addr);
	}
	block_sample_free(&one);
	block_sample_free(&two);
	assert_null(one.v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parts_sum_up_to_the_total),
		cmocka_unit_test(what_is_far_too_much_shrinks_alike),
		cmocka_unit_test(bounds_hold_and_the_rest_goes_to_others),
		cmocka_unit_test(nothing_is_shared_out_without_parts),
		cmocka_unit_test(what_variance_is_left),
		cmocka_unit_test(steps_are_as_sizes_are),
		cmocka_unit_test(classes_are_sums_of_steps),
		cmocka_unit_test(a_sample_is_of_all_alike_and_the_same_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
