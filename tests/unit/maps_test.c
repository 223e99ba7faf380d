#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "target/maps.h"

static struct maps parsed(const char *text)
{
	struct maps maps;

	assert_int_equal(maps_parse(text, strlen(text), &maps), 0);
	return maps;
}

static void test_fields(void **state)
{
	struct maps maps = parsed("555500000000-555500002000 r-xp 00001000 fe:01 1234567890123               "
				  " /usr/bin/a program\n"
				  "555500002000-555500003000 rw-s 00000000 00:05 7  /memfd:x (deleted)\n"
				  "555500003000-555500004000 rw-p 00000000 00:00 0 \n"
				  "555500004000-555500005000 rw-p 00000000 00:00 0                  [heap]\n"
				  "7f0000000000-7f0000001000 rw-p 00000000 00:00 0 [anon:glibc: malloc]\n"
				  "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 [vsyscall]");
	const struct mapping *m = maps.v;

	(void)state;
	assert_int_equal(maps.cnt, 6);
	assert_int_equal(m[0].start, 0x555500000000);
	assert_int_equal(m[0].end, 0x555500002000);
	assert_int_equal(m[0].offset, 0x1000);
	assert_int_equal(m[0].inode, 1234567890123);
	assert_int_equal(m[0].dev, makedev(0xfe, 1));
	assert_true(m[0].read && !m[0].write && m[0].exec && !m[0].shared);
	assert_string_equal(m[0].name, "/usr/bin/a program");
	assert_true(m[1].shared);
	assert_string_equal(m[1].name, "/memfd:x (deleted)");
	assert_string_equal(m[2].name, "");
	assert_string_equal(m[3].name, "[heap]");
	assert_string_equal(m[5].name, "[vsyscall]");
	assert_false(mapping_is_anon_rw(&m[0]));
	assert_false(mapping_is_anon_rw(&m[1]));
	assert_true(mapping_is_anon_rw(&m[2]));
	assert_true(mapping_is_anon_rw(&m[3]));
	assert_true(mapping_is_anon_rw(&m[4]));
	maps_free(&maps);
	maps_free(&maps);
	assert_int_equal(maps.cnt, 0);
}

static void test_lines_that_lie(void **state)
{
	struct maps maps = parsed("\n"
				  "nonsense\n"
				  "2000-1000 rw-p 00000000 00:00 0 ends before it begins\n"
				  "1000-1000 rw-p 00000000 00:00 0 empty\n"
				  "1001-2000 rw-p 00000000 00:00 0 no page\n"
				  "1000-2000 rw 00000000 00:00 0 short permissions\n"
				  "1000-2000 rw-p 00000000 00:00\n"
				  "5000-6000 rw-p 00000000 00:00 0 good\n"
				  "5800-7000 rw-p 00000000 00:00 0 overlaps\n"
				  "3000-4000 rw-p 00000000 00:00 0 out of order\n"
				  "6000-7000 rw-p 00000000 00:00 0 good too\n");

	(void)state;
	assert_int_equal(maps.cnt, 2);
	assert_string_equal(maps.v[0].name, "good");
	assert_string_equal(maps.v[1].name, "good too");
	maps_free(&maps);
	maps = parsed("");
	assert_int_equal(maps.cnt, 0);
	assert_null(maps_find(&maps, 0));
	maps_free(&maps);
}

/* As the kernel writes the names of one that has changed its root; what it had mapped before keeps its name.
 */
static void test_root(void **state)
{
	struct maps maps = parsed("1000-2000 r-xp 00000000 08:01 7 /srv/root/lib/libc.so.6\n"
				  "2000-3000 r-xp 00000000 08:01 8 /srv/rooted/lib/libc.so.6\n"
				  "3000-4000 rw-p 00000000 00:00 0 [heap]\n"
				  "4000-5000 r-xp 00000000 08:01 9 /srv/root\n");

	(void)state;
	maps_set_root(&maps, "/");
	maps_set_root(&maps, "");
	assert_string_equal(maps.v[0].name, "/srv/root/lib/libc.so.6");
	maps_set_root(&maps, "/srv/root");
	assert_string_equal(maps.v[0].name, "/lib/libc.so.6");
	assert_string_equal(maps.v[1].name, "/srv/rooted/lib/libc.so.6");
	assert_string_equal(maps.v[2].name, "[heap]");
	assert_string_equal(maps.v[3].name, "/srv/root");
	maps_free(&maps);
}

static void test_find(void **state)
{
	struct maps maps = parsed("1000-2000 rw-p 00000000 00:00 0\n3000-5000 rw-p 00000000 00:00 0\n"
				  "5000-6000 r--p 00000000 00:00 0\n");

	(void)state;
	assert_null(maps_find(&maps, 0xfff));
	assert_ptr_equal(maps_find(&maps, 0x1000), &maps.v[0]);
	assert_ptr_equal(maps_find(&maps, 0x1fff), &maps.v[0]);
	assert_null(maps_find(&maps, 0x2000));
	assert_ptr_equal(maps_find(&maps, 0x4fff), &maps.v[1]);
	assert_ptr_equal(maps_find(&maps, 0x5000), &maps.v[2]);
	assert_null(maps_find(&maps, 0x6000));
	maps_free(&maps);
}

static void test_own_process(void **state)
{
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const struct mapping *m;
	struct maps maps;
	struct error err;

	(void)state;
	assert_int_equal(maps_read(getpid(), &maps, &err), 0);
	m = maps_find(&maps, (uintptr_t)page);
	assert_non_null(m);
	assert_true(mapping_is_anon_rw(m));
	m = maps_find(&maps, (uintptr_t)test_own_process);
	assert_non_null(m);
	assert_true(m->exec && m->inode);
	assert_non_null(strstr(m->name, "maps_test"));
	maps_free(&maps);
	munmap(page, 4096);
}

static void test_no_process(void **state)
{
	struct maps maps;
	struct error err = {""};

	(void)state;
	assert_int_equal(maps_read(0x3fffffff, &maps, &err), -ESRCH);
	assert_true(strlen(err.text) > 0);
	maps_free(&maps);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields),     cmocka_unit_test(test_lines_that_lie),
		cmocka_unit_test(test_find),       cmocka_unit_test(test_own_process),
		cmocka_unit_test(test_no_process), cmocka_unit_test(test_root),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
