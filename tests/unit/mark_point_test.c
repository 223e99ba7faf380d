/* Which functions --mark means. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "probe/mark_point.h"

static bool means(const char *given, const char *path, bool program)
{
	struct mark_points points = {.cnt = 0};

	assert_int_equal(mark_points_add(&points, given), 0);
	return mark_point_means(&points.v[0], path, program);
}

static void test_object(void **state)
{
	(void)state;
	assert_true(means("libfoo.so.1:f", "/usr/lib/libfoo.so.1", false));
	assert_true(means("libfoo.so.1:f", "/usr/lib/libfoo.so.1.2.3", false)); /* what the link leads to */
	assert_true(means("libfoo:f", "/opt/libfoo.so", false));
	assert_false(means("libfoo.so.1:f", "/usr/lib/libfoo.so.12", false));
	assert_false(means("libfoo.so.1:f", "/usr/lib/libfoo.so", false));
	assert_false(means("foo.so:f", "/usr/lib/libfoo.so", false));
	assert_true(means("/opt/libfoo.so:f", "/opt/libfoo.so", false));
	assert_false(means("/opt/libfoo.so:f", "/usr/libfoo.so", false));
	assert_false(means("/opt/libfoo:f", "/opt/libfoo.so", false));
	assert_true(means(":f", "/usr/bin/python3.11", true));
	assert_false(means(":f", "/usr/lib/libfoo.so", false));
	assert_true(means("python3.11:f", "/usr/bin/python3.11", true));
}

static void test_words(void **state)
{
	struct mark_points points = {.cnt = 0};
	char longest[MARK_OBJECT_MAX + 3];

	(void)state;
	assert_int_equal(mark_points_add(&points, ":ns::f"), 0); /* the first colon parts them */
	assert_string_equal(points.v[0].symbol, "ns::f");
	assert_string_equal(points.v[0].object, "");
	assert_int_equal(mark_points_add(&points, "f"), -EINVAL);
	assert_int_equal(mark_points_add(&points, "libfoo.so:"), -EINVAL);
	assert_int_equal(mark_points_add(&points, ""), -EINVAL);
	assert_int_equal(mark_points_add(&points, ":f g"), -EINVAL);
	memset(longest, 'a', sizeof(longest));
	memcpy(longest + MARK_OBJECT_MAX, ":f", 3);
	assert_int_equal(mark_points_add(&points, longest), -EINVAL);
	assert_int_equal(mark_points_add(&points, longest + 1), 0);
	assert_int_equal(points.cnt, 2);
}

/* Kinds are told apart: one another, and from the marks that commands make. */
static void test_kinds(void **state)
{
	struct mark_points points = {.cnt = 0};

	(void)state;
	mark_points_add(&points, ":done");
	mark_points_add(&points, "libfoo.so:done");
	mark_points_add(&points, ":mark");
	mark_points_add(&points, ":done"); /* again */
	assert_int_equal(points.cnt, 3);
	assert_string_equal(points.v[0].kind, "done");
	assert_string_equal(points.v[1].kind, "libfoo.so:done");
	assert_string_equal(points.v[2].kind, ":mark");
}

static void test_bounded(void **state)
{
	static char names[MARK_POINTS_MAX + 1][16];
	struct mark_points points = {.cnt = 0};

	(void)state;
	for (int i = 0; i <= MARK_POINTS_MAX; i++) {
		snprintf(names[i], sizeof(names[i]), ":f%d", i);
		assert_int_equal(mark_points_add(&points, names[i]), i < MARK_POINTS_MAX ? 0 : -ERANGE);
	}
	assert_int_equal(mark_points_add(&points, ":f0"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_object),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
