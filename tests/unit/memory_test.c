/* A child of ours with one page of each kind, seen through struct memory, live and saved. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "target/image.h"

#define PAGES 8

/* Page by page: written, untouched, only read, dropped, still the parent's, written, untouched. */
static char *area;

static void fill_in_child(void)
{
	volatile char *page = area;

	page[0] = 'a';
	(void)page[2 * 4096];
	page[3 * 4096] = 'd';
	madvise(area + 3 * 4096, 4096, MADV_DONTNEED);
	page[5 * 4096] = 'f';
}

static int set_up(void **state)
{
	static pid_t pid;

	area = mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (area == MAP_FAILED)
		return -1;
	madvise(area, PAGES * 4096, MADV_NOHUGEPAGE);
	area[4 * 4096] = 'p';
	pid = child_start(fill_in_child);
	*state = &pid;
	return 0;
}

static int tear_down(void **state)
{
	pid_t pid = *(pid_t *)*state;

	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return 0;
}

static struct memory *open_child(void **state)
{
	struct memory *mem = NULL;
	struct error err = {""};

	if (memory_open_process(*(pid_t *)*state, &mem, &err) != 0)
		fail_msg("%s", err.text);
	return mem;
}

static void check_pages(struct memory *mem)
{
	uint8_t page[PAGES];

	assert_int_equal(memory_pages(mem, (uintptr_t)area, (uintptr_t)area + sizeof(page) * 4096, page), 0);
	assert_int_equal(page[0], PAGE_PRESENT | PAGE_EXCLUSIVE);
	assert_int_equal(page[1], 0);
	if (geteuid() == 0)
		assert_int_equal(page[2], PAGE_ZERO);
	assert_int_equal(page[3], 0);
	assert_int_equal(page[4], PAGE_PRESENT); /* shared with the parent */
	assert_int_equal(page[5], PAGE_PRESENT | PAGE_EXCLUSIVE);
	assert_int_equal(page[7], 0);
}

static void check_bytes(struct memory *mem)
{
	char first = 0, rest[2] = "";
	struct iovec local[2] = {{&first, 1}, {rest, 2}};
	struct iovec remote[3] = {{area, 1}, {area + 4 * 4096, 1}, {area + 5 * 4096, 1}};
	uint64_t reads = mem->reads, bytes = mem->bytes_read;

	assert_int_equal(memory_readv(mem, local, 2, remote, 3), 3);
	assert_int_equal(first, 'a');
	assert_memory_equal(rest, "pf", 2);
	assert_int_equal(mem->reads, reads + 1);
	assert_int_equal(mem->bytes_read, bytes + 3);
	assert_true(memory_read(mem, 0x1000, rest, 2) < 0);
}

static void test_live(void **state)
{
	struct memory *mem = open_child(state);

	check_pages(mem);
	check_bytes(mem);
	check_pages(mem);
	memory_free(mem);
	memory_free(NULL);
}

/* The mapping ends: what lies before the end is read. */
static void test_short_read(void **state)
{
	struct memory *mem = open_child(state);
	struct error err;
	struct maps maps;
	const struct mapping *last;
	char buf[2 * 4096];

	assert_int_equal(memory_maps(mem, &maps, &err), 0);
	last = maps_find(&maps, (uintptr_t)area);
	assert_non_null(last);
	assert_true(memory_read(mem, last->end - 16, buf, sizeof(buf)) >= 16 ||
		    (last + 1)->start != last->end);
	maps_free(&maps);
	memory_free(mem);
}

static void test_image(void **state)
{
	struct memory *mem = open_child(state), *image = NULL;
	struct error err = {""};
	char *data = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&data, &len);
	struct maps live, saved;

	assert_int_equal(image_save(mem, out, 64 << 20, &err), 0);
	fclose(out);
	assert_int_equal(memory_open_image(data, len, &image, &err), 0);
	check_pages(image);
	check_bytes(image);
	assert_int_equal(memory_maps(mem, &live, &err), 0);
	assert_int_equal(memory_maps(image, &saved, &err), 0);
	assert_int_equal(live.cnt, saved.cnt);
	for (size_t i = 0; i < live.cnt; i++) {
		assert_int_equal(live.v[i].start, saved.v[i].start);
		assert_int_equal(live.v[i].end, saved.v[i].end);
		assert_string_equal(live.v[i].name, saved.v[i].name);
	}
	maps_free(&live);
	maps_free(&saved);
	memory_free(image);
	free(data);
	memory_free(mem);
}

static void test_image_too_large(void **state)
{
	struct memory *mem = open_child(state);
	struct error err = {""};
	FILE *out = tmpfile();

	assert_int_equal(image_save(mem, out, 4096, &err), -EFBIG);
	assert_true(strlen(err.text) > 0);
	fclose(out);
	memory_free(mem);
}

static void test_no_process(void **state)
{
	struct memory *mem = NULL;
	struct error err = {""};

	(void)state;
	assert_int_equal(memory_open_process(0x3fffffff, &mem, &err), -ESRCH);
	assert_non_null(strstr(err.text, "1073741823"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_live, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_short_read, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_image, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_image_too_large, set_up, tear_down),
		cmocka_unit_test(test_no_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
