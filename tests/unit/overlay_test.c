/* The layers of an overlayfs, as mountinfo and the runtimes that mount it write them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <limits.h>
#include <unistd.h>

#include "target/overlay.h"

static char folder[PATH_MAX];

static const char *lower(const char *options, unsigned number)
{
	return overlay_lower_folder(options, number, folder, sizeof(folder)) ? NULL : folder;
}

static void folders_in_their_order(void **state)
{
	static const char options[] =
		"rw,lowerdir=/var/lib/l/A:/var/lib/l/B:/c,upperdir=/u,workdir=/w,xino=off";

	(void)state;
	assert_string_equal(lower(options, 0), "/var/lib/l/A");
	assert_string_equal(lower(options, 1), "/var/lib/l/B");
	assert_string_equal(lower(options, 2), "/c");
	assert_null(lower(options, 3));
	assert_string_equal(lower("lowerdir=/one", 0), "/one");
	assert_null(lower("rw,upperdir=/u", 0));
	assert_null(lower("rw,lowerdir=", 0));
	assert_null(lower("", 0));
}

static void folders_mounted_one_by_one(void **state)
{
	static const char options[] = "rw,lowerdir+=/a:b,lowerdir+=/c,datadir+=/d,upperdir=/u";

	(void)state;
	assert_string_equal(lower(options, 0), "/a:b");
	assert_string_equal(lower(options, 1), "/c");
	assert_null(lower(options, 2));
}

/* A colon by a backslash, which mountinfo writes as \134; a comma and a blank by their numbers. */
static void odd_names(void **state)
{
	static const char options[] = "rw,lowerdir=/a\\134:b\\054c\\040d:/e\\134\\134f,upperdir=/u";

	(void)state;
	assert_string_equal(lower(options, 0), "/a:b,c d");
	assert_string_equal(lower(options, 1), "/e\\f");
	assert_null(lower(options, 2));
	assert_null(overlay_lower_folder(options, 0, folder, 3) ? NULL : folder);
}

/* Data-only layers stand behind "::". */
static void empty_folders(void **state)
{
	(void)state;
	assert_string_equal(lower("lowerdir=/a::/b", 0), "/a");
	assert_null(lower("lowerdir=/a::/b", 1));
	assert_string_equal(lower("lowerdir=/a::/b", 2), "/b");
}

static void what_is_no_overlay(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(overlay_open_lower(getpid(), &(struct mapping){.name = "/bin/sh", .dev = 1}, &st),
			 -ENOENT);
	assert_int_equal(overlay_open_lower(0x7ffffff0, &(struct mapping){.name = "/bin/sh"}, &st), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(folders_in_their_order),
		cmocka_unit_test(folders_mounted_one_by_one),
		cmocka_unit_test(odd_names),
		cmocka_unit_test(empty_folders),
		cmocka_unit_test(what_is_no_overlay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
