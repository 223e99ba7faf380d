#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>

#include "heap/sampling.h"

#define MEAN 65536

static void everything_counts_once_without_sampling(void **state)
{
	(void)state;
	assert_true(sampling_scale(0, 1) == 1 && sampling_scale_free(0, 0) == 1);
	assert_int_equal(sampling_count(1, 77, 123).cnt, 1);
	assert_int_equal(sampling_count(1, 77, 123).bytes, 77);
}

static void the_scale_is_one_over_the_probability(void **state)
{
	(void)state;
	assert_true(fabs(sampling_scale(MEAN, MEAN) - 1 / (1 - exp(-1))) < 1e-9);
	assert_true(fabs(sampling_scale(MEAN, 32) - 2048.5) < 0.01); /* mean / size + ½ */
	assert_true(sampling_scale(MEAN, 1ULL << 40) == 1);
	assert_true(sampling_scale(MEAN, 0) == sampling_scale(MEAN, 1));
	assert_true(sampling_scale_free(MEAN, 33 | 7) == sampling_scale(MEAN, 32)); /* flags are no bytes */
	assert_true(sampling_scale_free(MEAN, 0) == 16);
}

/* A third up, two thirds down: over many blocks the sum is right. */
static void fractions_are_drawn_fairly_and_alike(void **state)
{
	uint64_t cnt = 0, bytes = 0;

	(void)state;
	for (uint64_t i = 0; i < 100000; i++) {
		uint64_t addr = 0x555500000010 + 48 * i;
		struct site_count c = sampling_count(4.0 / 3, 100, addr), again = sampling_count(4.0 / 3, 100, addr);

		assert_true(c.cnt == again.cnt && c.bytes == again.bytes);
		cnt += c.cnt;
		bytes += c.bytes;
	}
	assert_in_range(cnt, 133333 - 600, 133333 + 600);
	assert_in_range(bytes, 13333333 - 1000, 13333333 + 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_counts_once_without_sampling),
		cmocka_unit_test(the_scale_is_one_over_the_probability),
		cmocka_unit_test(fractions_are_drawn_fairly_and_alike),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
