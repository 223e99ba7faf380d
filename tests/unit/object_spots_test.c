/* Which probes of Python's objects are placed last: those that are hit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "probe/object_spots.h"

#define SPOTS 200

/* Place number i of the plan, at offset 16 i. */
static void make_spots(struct link_spot spots[SPOTS])
{
	for (size_t i = 0; i < SPOTS; i++)
		spots[i] = (struct link_spot){.offset = 16 * i,
					      .cookie = (uint64_t)i << COOKIE_POOL_PLACE_SHIFT | 7};
}

static void test_hot_ones_come_first(void **state)
{
	uint64_t hits[POOL_PLACES_MAX] = {0};
	struct link_spot spots[SPOTS];

	(void)state;
	make_spots(spots);
	hits[150] = 60000;
	hits[20] = 39900;
	hits[3] = 100;
	assert_int_equal(object_spots_rank(spots, SPOTS, hits), 2);
	assert_int_equal(spots[0].offset, 16 * 150);
	assert_int_equal(spots[1].offset, 16 * 20);
	assert_int_equal(spots[2].offset, 16 * 3);
}

static void test_none_is_lost(void **state)
{
	uint64_t hits[POOL_PLACES_MAX], sum = 0;
	struct link_spot spots[SPOTS];
	size_t hot;

	(void)state;
	make_spots(spots);
	for (size_t i = 0; i < POOL_PLACES_MAX; i++)
		hits[i] = i * 7919 % 1000;
	hot = object_spots_rank(spots, SPOTS, hits);
	assert_in_range(hot, 1, 32); /* where all are hit, as many as a link of their own is worth */
	for (size_t i = 0; i < SPOTS; i++)
		sum += spots[i].offset / 16;
	assert_int_equal(sum, SPOTS * (SPOTS - 1) / 2);
}

static void test_few_hits_say_nothing(void **state)
{
	uint64_t hits[POOL_PLACES_MAX] = {[150] = 999};
	struct link_spot spots[SPOTS];

	(void)state;
	make_spots(spots);
	assert_int_equal(object_spots_rank(spots, SPOTS, hits), 0);
	assert_int_equal(spots[0].offset, 0);
	assert_int_equal(object_spots_rank(spots, 0, hits), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hot_ones_come_first),
		cmocka_unit_test(test_none_is_lost),
		cmocka_unit_test(test_few_hits_say_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
