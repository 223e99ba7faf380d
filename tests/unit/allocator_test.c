/* Names: of functions that give memory back, under prefixes, of what compilers make of them. */
#include "probe/allocator.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "probe/custom.h"

extern const struct allocator allocator_glibc, allocator_jemalloc, allocator_mimalloc;

static void releasers_are_told_by_name(void **state)
{
	(void)state;
	assert_true(allocator_is_releaser(&allocator_glibc, "systrim.constprop.0"));
	assert_true(allocator_is_releaser(&allocator_glibc, "_int_free"));
	assert_true(allocator_is_releaser(&allocator_glibc, "free"));
	assert_false(allocator_is_releaser(&allocator_glibc, "free_cache")); /* a program's own */
	assert_false(allocator_is_releaser(&allocator_glibc, "main"));
	assert_true(allocator_is_releaser(&allocator_jemalloc, "je_pages_purge_forced"));
	assert_true(allocator_is_releaser(&allocator_jemalloc, "_rjem_je_pages_unmap"));
	assert_true(allocator_is_releaser(&allocator_jemalloc, "os_pages_unmap"));
	assert_false(allocator_is_releaser(&allocator_jemalloc, "je"));
	assert_false(allocator_is_releaser(&allocator_jemalloc, ""));
	assert_true(allocator_is_releaser(&allocator_mimalloc, "_mi_prim_decommit"));
}

static void entry_points_are_told_under_every_prefix(void **state)
{
	(void)state;
	assert_true(allocator_is_entry_point(&allocator_jemalloc, "malloc"));
	assert_true(allocator_is_entry_point(&allocator_jemalloc, "_rjem_sdallocx"));
	assert_false(allocator_is_entry_point(&allocator_jemalloc, "other_malloc"));
	assert_false(allocator_is_entry_point(&allocator_glibc, "_rjem_malloc"));
}

static void what_the_user_names_comes_behind_the_known(void **state)
{
	struct custom custom;
	size_t cnt = 0;

	(void)state;
	while (allocators[cnt])
		cnt++;
	assert_ptr_equal(allocator_nth(NULL, 0), &allocator_glibc);
	assert_null(allocator_nth(NULL, cnt));
	custom_init(&custom, NULL, NULL);
	assert_null(allocator_nth(custom.kinds, cnt));
	custom_init(&custom, "my_", NULL);
	assert_ptr_equal(allocator_nth(custom.kinds, cnt), &custom.jemalloc);
	assert_ptr_equal(allocator_nth(custom.kinds, cnt + 1), &custom.plain);
	assert_null(allocator_nth(custom.kinds, cnt + 2));
	assert_true(allocator_is_entry_point(&custom.plain, "my_malloc"));
	assert_true(allocator_is_entry_point(&custom.jemalloc, "my_mallocx"));
	assert_true(allocator_has_prefix(&custom.jemalloc, "my_") && !allocator_has_prefix(&allocator_jemalloc, "my_"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(releasers_are_told_by_name),
		cmocka_unit_test(entry_points_are_told_under_every_prefix),
		cmocka_unit_test(what_the_user_names_comes_behind_the_known),
	};

	return cmocka_run_group_tests_name("allocator", tests, NULL, NULL);
}
