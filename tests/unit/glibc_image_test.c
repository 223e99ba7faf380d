/* Heaps of real processes, saved with what each said of itself (tests/images/make.py). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "heap/glibc.h"
#include "saved_heap.h"

static void check_truth(const struct heap_walk *walk, const cJSON *truth)
{
	const struct heap_figures *t = &walk->total;
	uint64_t arena = t->held - walk->mmapped.bytes, fordblks = t->bins.bytes + t->fast.bytes + t->top;

	assert_int_equal(arena, saved_number(truth, "arena"));
	assert_int_equal(fordblks, saved_number(truth, "fordblks"));
	assert_int_equal(arena - fordblks, saved_number(truth, "uordblks"));
	assert_int_equal(t->fast.bytes, saved_number(truth, "fsmblks"));
	assert_int_equal(walk->arenas[0].f.top, saved_number(truth, "keepcost"));
	assert_int_equal(t->purgeable, saved_number(truth, "returned"));
	assert_int_equal(t->retained, t->purgeable + t->pinned.partial + t->pinned.top +
					      t->pinned.thread_cache + t->pinned.overhead);
	/* Beside the target's own blocks there are a few of the C library's. */
	assert_true(t->live.cnt >= saved_number(truth, "own_blocks"));
	assert_true(t->live.cnt < saved_number(truth, "own_blocks") + 30);
}

/* What the pages say agrees with what the walk counted. */
static void check_pages(const struct heap_walk *walk)
{
	const struct heap_pages *p = &walk->pages;
	uint64_t pinned = 0, by_class = 0, begins = 0;

	assert_true(p->cnt > 0);
	for (size_t i = 0; i < p->cnt; i++) {
		assert_true(p->v[i].free > 0 && p->v[i].free < 4096);
		assert_true(p->v[i].holders > 0);
		assert_true(i == 0 || p->v[i - 1].addr < p->v[i].addr);
		assert_ptr_equal(heap_pages_find(p, p->v[i].addr + 100), &p->v[i]);
		pinned += p->v[i].free;
	}
	for (size_t i = 0; i < HEAP_CLASS_CNT; i++)
		by_class += walk->pinned_class[i].bytes;
	assert_int_equal(by_class, pinned);
	/* The rest lies on pages that headers alone keep. */
	assert_true(pinned <= walk->total.pinned.partial + walk->total.pinned.top);
	assert_true(pinned + 64 * 4096 > walk->total.pinned.partial);
	for (size_t i = 0; i < p->extent_cnt; i++) {
		const struct heap_extent *e = &p->extents[i];

		assert_true(e->sure);
		for (uint64_t addr = e->start; addr < e->end; addr += 16)
			begins += heap_pages_judge(p, addr) == HEAP_IN_USE;
	}
	assert_int_equal(begins + walk->mmapped.cnt, walk->total.live.cnt);
	assert_int_equal(p->mmapped_cnt, walk->mmapped.cnt);
	assert_true(p->mmapped_sure);
}

static void check_image(const char *name, unsigned file_version, const char *version)
{
	struct memory *mem = saved_memory(name);
	cJSON *truth = saved_truth(name);
	struct heap *heap = NULL;
	struct heap_walk walk;
	struct error err;

	assert_non_null(truth);
	assert_int_equal(heap_walker_glibc.find(mem, file_version, &heap, &err), 0);
	assert_int_equal(heap_walker_glibc.walk(heap, mem, true, &walk, &err), 0);
	assert_true(walk.complete);
	assert_false(walk.estimate);
	assert_string_equal(walk.version, version);
	check_truth(&walk, truth);
	check_pages(&walk);
	heap_walk_free(&walk);
	heap_walker_glibc.free(heap);
	memory_free(mem);
	cJSON_Delete(truth);
}

static void test_named_versions(void **state)
{
	(void)state;
	check_image("2.31", 2031, "2.31");
	check_image("2.36", 2036, "2.36");
	check_image("2.36-threads", 2036, "2.36");
	check_image("2.36-foreign", 2036, "2.36");
	check_image("2.41", 2041, "2.41");
	check_image("2.43", 2043, "2.43");
}

static void test_versions_by_memory_alone(void **state)
{
	(void)state;
	check_image("2.31", 0, "2.30–2.31");
	check_image("2.36", 0, "2.35–2.41");
	check_image("2.36-threads", 0, "2.35–2.41");
	check_image("2.36-foreign", 0, "2.35–2.41");
	check_image("2.43", 0, "2.43");
	check_image("static", 0, "2.35–2.41");
}

static void test_damaged_images(void **state)
{
	size_t len;
	char *data = saved_load("2.36", ".img", &len);
	struct memory *mem = NULL;
	struct error err;

	(void)state;
	for (size_t cut = 0; cut < len; cut += 97)
		assert_int_equal(memory_open_image(data, cut, &mem, &err), -EINVAL);
	data[8] = 2; /* a format to come */
	assert_int_equal(memory_open_image(data, len, &mem, &err), -EINVAL);
	assert_non_null(strstr(err.text, "format 2"));
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_named_versions),
		cmocka_unit_test(test_versions_by_memory_alone),
		cmocka_unit_test(test_damaged_images),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
