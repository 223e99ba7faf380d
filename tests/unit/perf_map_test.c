/* What a JIT writes of its code, and what a hostile one might. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "stack/perf_map.h"
#include "target/root.h"

static struct perf_map *parsed(const char *text)
{
	struct perf_map *map = perf_map_new(getpid(), -1);

	assert_non_null(map);
	assert_int_equal(perf_map_parse(map, text, strlen(text)), 0);
	return map;
}

static void check(const struct perf_map *map, uint64_t addr, const char *expected)
{
	const struct perf_map_entry *found = perf_map_find(map, addr);

	if (expected)
		assert_string_equal(found ? found->name : "(none)", expected);
	else
		assert_null(found);
}

static void found_by_any_address_in_it(void **state)
{
	struct perf_map *map = parsed("2000 10 JS:~b /x/y.js:1:2\n1000 100 a\n");

	(void)state;
	check(map, 0xfff, NULL);
	check(map, 0x1000, "a");
	check(map, 0x10ff, "a");
	check(map, 0x1100, NULL);
	check(map, 0x200f, "JS:~b /x/y.js:1:2");
	check(map, 0x2010, NULL);
	perf_map_free(map);
}

/* Code is thrown away, and its memory used again. */
static void the_newest_holds(void **state)
{
	struct perf_map *map = parsed("1000 100 old\n1040 10 within\n1000 80 new\n1090 8 newer\n");

	(void)state;
	check(map, 0x1000, "new");
	check(map, 0x1044, "new");
	check(map, 0x1084, "old");
	check(map, 0x1094, "newer");
	perf_map_free(map);
}

static void lines_that_are_none(void **state)
{
	struct perf_map *map =
		parsed("\n\nzz\n1000\n1000 \n1000 10\n1000 10 \n1000 0 empty\nffffffffffffffff 10 wraps\n"
		       "fffffffffffffffff 1 too long\n3000 10 good\n4000 10 not yet whol");

	(void)state;
	check(map, 0x1000, NULL);
	check(map, UINT64_MAX, NULL);
	check(map, 0x3000, "good");
	check(map, 0x4000, NULL);
	perf_map_free(map);
}

/* Ours, in our own root: it grows, and is read again. */
static void a_file_of_its_own_user(void **state)
{
	int root = root_open(getpid());
	struct perf_map *map = perf_map_new(getpid(), root);
	char path[64];
	FILE *file;

	(void)state;
	assert_true(root >= 0);
	snprintf(path, sizeof(path), "/tmp/perf-%d.map", getpid());
	perf_map_open(map);
	perf_map_refresh(map);
	check(map, 0x1000, NULL);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs("1000 10 first\n", file);
	fclose(file);
	perf_map_open(map);
	perf_map_refresh(map);
	check(map, 0x1000, "first");
	unlink(path);
	perf_map_free(map);
	close(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(found_by_any_address_in_it),
		cmocka_unit_test(the_newest_holds),
		cmocka_unit_test(lines_that_are_none),
		cmocka_unit_test(a_file_of_its_own_user),
	};

	return cmocka_run_group_tests_name("perf_map", tests, NULL, NULL);
}
