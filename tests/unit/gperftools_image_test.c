/* gperftools' heap in saved processes of two versions, sound and damaged (tests/images/make.py). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>

#include "heap/gperftools.h"
#include "lying_memory.h"
#include "saved_heap.h"

#define DAMAGES 100

static void check_truth(const struct heap_walk *walk, const cJSON *truth)
{
	const struct heap_figures *t = &walk->total;

	assert_int_equal(t->live.bytes, saved_number(truth, "generic.current_allocated_bytes"));
	assert_int_equal(t->thread_cache.bytes, saved_number(truth, "tcmalloc.thread_cache_free_bytes"));
	assert_int_equal(t->fast.bytes, saved_number(truth, "tcmalloc.pageheap_free_bytes"));
	assert_int_equal(t->top, saved_number(truth, "tcmalloc.pageheap_unmapped_bytes"));
	assert_int_equal(t->held - t->pinned.overhead, saved_number(truth, "generic.heap_size"));
	assert_int_equal(t->bins.bytes + t->overhead - t->pinned.overhead,
			 saved_number(truth, "tcmalloc.central_cache_free_bytes") +
				 saved_number(truth, "tcmalloc.transfer_cache_free_bytes"));
	assert_int_equal(t->purgeable, saved_number(truth, "returned"));
	assert_int_equal(t->retained, t->purgeable + heap_pinned_sum(&t->pinned));
	assert_true(t->live.cnt >= saved_number(truth, "own_blocks"));
	assert_true(t->live.cnt < saved_number(truth, "own_blocks") + 30);
}

static void check_pages(const struct heap_walk *walk)
{
	const struct heap_pages *p = &walk->pages;
	uint64_t pinned = 0, by_class = 0;

	for (size_t i = 0; i < p->cnt; i++) {
		assert_true(p->v[i].free > 0 && p->v[i].free < p->v[i].pages * 4096U);
		assert_ptr_equal(heap_pages_find(p, p->v[i].addr + p->v[i].pages * 4096U - 1), &p->v[i]);
		pinned += p->v[i].free;
	}
	for (size_t i = 0; i < HEAP_CLASS_CNT; i++)
		by_class += walk->pinned_class[i].bytes;
	assert_int_equal(by_class, pinned);
	assert_true(pinned > 0 && pinned <= walk->total.pinned.partial);
	/* Where blocks begin is not looked at: nothing is said of one. */
	assert_int_equal(heap_pages_judge(p, p->v[0].addr), HEAP_UNKNOWN);
}

static void check_image(const char *name, const char *version)
{
	struct memory *mem = saved_memory(name);
	cJSON *truth = saved_truth(name);
	struct heap *heap = NULL;
	struct heap_walk walk;
	struct error err;

	assert_int_equal(heap_walker_gperftools.find(mem, 0, &heap, &err), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(heap_walker_gperftools.walk(heap, mem, true, &walk, &err), 0);
		assert_true(walk.complete);
		assert_false(walk.estimate);
		assert_int_equal(walk.retries, 0);
		assert_string_equal(walk.version, version);
		check_truth(&walk, truth);
		check_pages(&walk);
		heap_walk_free(&walk);
	}
	heap_walker_gperftools.free(heap);
	cJSON_Delete(truth);
	memory_free(mem);
}

static void test_images(void **state)
{
	(void)state;
	check_image("gperftools-2.10", "2.8–2.15");
	check_image("gperftools-2.18", "2.16–2.18");
}

static void test_other_heaps_are_not_taken_for_one(void **state)
{
	static const char *const names[] = {"2.36", "static", "jemalloc-5.3"};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct memory *mem = saved_memory(names[i]);
		struct heap *heap = NULL;
		struct error err;

		assert_int_equal(heap_walker_gperftools.find(mem, 0, &heap, &err), -ENODATA);
		assert_null(heap);
		memory_free(mem);
	}
}

static void damage(const char *name)
{
	struct memory *mem = saved_memory(name);

	lying_walks(&heap_walker_gperftools, mem, DAMAGES);
	memory_free(mem);
}

static void test_damages(void **state)
{
	(void)state;
	damage("gperftools-2.10");
	damage("gperftools-2.18");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_images),
		cmocka_unit_test(test_other_heaps_are_not_taken_for_one),
		cmocka_unit_test(test_damages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
