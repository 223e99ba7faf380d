/* The hash table against a plain array that is always right. */
#include "base/map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define KEYS 997

static void empty_holds_nothing(void **state)
{
	struct map map = { 0 };

	(void)state;
	assert_null(map_get(&map, 1));
	assert_null(map_remove(&map, 1));
	map_free(&map);
	map_free(&map);
}

static void replaces_and_takes_key_zero(void **state)
{
	struct map map = { 0 };
	int a, b;

	(void)state;
	assert_int_equal(map_set(&map, 0, &a), 0);
	assert_int_equal(map_set(&map, 0, &b), 0);
	assert_int_equal(map.cnt, 1);
	assert_ptr_equal(map_get(&map, 0), &b);
	assert_ptr_equal(map_remove(&map, 0), &b);
	assert_null(map_get(&map, 0));
	assert_int_equal(map.cnt, 0);
	map_free(&map);
}

static void agrees_with_an_array(void **state)
{
	static char values[64];
	void *model[KEYS] = { 0 };
	struct map map = { 0 };

	(void)state;
	srand(1);
	for (int step = 0; step < 200000; step++) {
		int i = rand() % KEYS;
		uint64_t key = (uint64_t)i << 20; /* as handles and pages: nothing in the low bits */

		if (rand() % 2) {
			model[i] = &values[rand() % 64];
			assert_int_equal(map_set(&map, key, model[i]), 0);
		} else {
			assert_ptr_equal(map_remove(&map, key), model[i]);
			model[i] = NULL;
		}
		if (step % 1000)
			continue;
		for (int k = 0; k < KEYS; k++)
			assert_ptr_equal(map_get(&map, (uint64_t)k << 20), model[k]);
	}
	assert_true(map.cap <= 2048); /* removals leave nothing behind that would make it grow */
	map_free(&map);
}

static void hashes_go_on_from_a_seed(void **state)
{
	(void)state;
	assert_true(map_hash(0, "") == 0xcbf29ce484222325ULL); /* FNV-1a's own test vectors */
	assert_true(map_hash(0, "a") == 0xaf63dc4c8601ec8cULL);
	assert_true(map_hash(map_hash(0, "foo"), "bar") == 0x85944171f73967e8ULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty_holds_nothing),
		cmocka_unit_test(replaces_and_takes_key_zero),
		cmocka_unit_test(agrees_with_an_array),
		cmocka_unit_test(hashes_go_on_from_a_seed),
	};

	return cmocka_run_group_tests_name("map", tests, NULL, NULL);
}
