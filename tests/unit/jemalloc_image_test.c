/* jemalloc's heap in saved processes of three versions, sound and damaged (tests/images/make.py). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>

#include "heap/jemalloc.h"
#include "heap/jemalloc_heap.h"
#include "lying_memory.h"
#include "saved_heap.h"

#define DAMAGES 400

static void check_truth(const struct heap_walk *walk, const cJSON *truth)
{
	const struct heap_figures *t = &walk->total;

	assert_int_equal(t->live.bytes + t->thread_cache.bytes, saved_number(truth, "stats.allocated"));
	assert_int_equal(t->thread_cache.bytes, saved_number(truth, "stats.arenas.4096.tcache_bytes"));
	assert_int_equal(t->held - t->top, saved_number(truth, "stats.mapped"));
	assert_int_equal(t->top, saved_number(truth, "stats.retained"));
	assert_int_equal(t->fast.bytes / 4096, saved_number(truth, "stats.arenas.4096.pdirty") +
						       saved_number(truth, "stats.arenas.4096.pmuzzy"));
	assert_int_equal(t->purgeable, saved_number(truth, "returned"));
	assert_int_equal(t->retained, t->purgeable + heap_pinned_sum(&t->pinned));
	/* Beside the target's own blocks there are a few of libraries and of threads' caches. */
	assert_true(t->live.cnt >= saved_number(truth, "own_blocks"));
	assert_true(t->live.cnt < saved_number(truth, "own_blocks") + 30);
}

/* Where blocks begin, and what slabs hold back, agrees with what was counted. */
static void check_pages(const struct heap_walk *walk)
{
	const struct heap_pages *p = &walk->pages;
	uint64_t pinned = 0, by_class = 0, begins = p->mmapped_cnt;

	for (size_t i = 0; i < p->cnt; i++) {
		assert_true(p->v[i].free > 0 && p->v[i].free < p->v[i].pages * 4096U);
		assert_ptr_equal(heap_pages_find(p, p->v[i].addr + p->v[i].pages * 4096U - 1), &p->v[i]);
		pinned += p->v[i].free;
	}
	for (size_t i = 0; i < HEAP_CLASS_CNT; i++)
		by_class += walk->pinned_class[i].bytes;
	assert_int_equal(by_class, pinned);
	assert_true(pinned > 0 && pinned <= walk->total.pinned.partial);
	for (size_t i = 0; i < p->extent_cnt; i++)
		for (uint64_t addr = p->extents[i].start; addr < p->extents[i].end; addr += 16)
			begins += heap_pages_judge(p, addr) == HEAP_IN_USE;
	/* Blocks of 8 bytes share their places. */
	assert_true(begins <= walk->total.live.cnt);
	assert_true(begins + heap_live_class(walk, 3).cnt >= walk->total.live.cnt);
	assert_true(p->mmapped_sure);
}

static void check_image(const char *name)
{
	struct memory *mem = saved_memory(name);
	cJSON *truth = saved_truth(name);
	struct heap *heap = NULL;
	struct heap_walk walk;
	struct error err;

	assert_int_equal(heap_walker_jemalloc.find(mem, 0, &heap, &err), 0);
	for (int i = 0; i < 2; i++) { /* what is kept from one walk to the next changes nothing */
		assert_int_equal(heap_walker_jemalloc.walk(heap, mem, true, &walk, &err), 0);
		assert_true(walk.complete);
		assert_false(walk.estimate);
		assert_int_equal(walk.retries, 0);
		assert_string_equal(walk.version, "5.3");
		check_truth(&walk, truth);
		check_pages(&walk);
		heap_walk_free(&walk);
	}
	heap_walker_jemalloc.free(heap);
	cJSON_Delete(truth);
	memory_free(mem);
}

static void test_images(void **state)
{
	(void)state;
	check_image("jemalloc-5.3");
	check_image("jemalloc-5.3-three-levels");
	check_image("jemalloc-5.3.1");
}

static void test_other_heaps_are_not_taken_for_one(void **state)
{
	static const char *const names[] = {"2.36", "static", "gperftools-2.10"};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct memory *mem = saved_memory(names[i]);
		struct heap *heap = NULL;
		struct error err;

		assert_int_equal(heap_walker_jemalloc.find(mem, 0, &heap, &err), -ENODATA);
		assert_null(heap);
		memory_free(mem);
	}
}

static void damage(const char *name)
{
	struct memory *mem = saved_memory(name);

	lying_walks(&heap_walker_jemalloc, mem, DAMAGES);
	memory_free(mem);
}

static void test_damages(void **state)
{
	(void)state;
	damage("jemalloc-5.3");
	damage("jemalloc-5.3-three-levels");
	damage("jemalloc-5.3.1");
}

static void test_size_classes(void **state)
{
	(void)state;
	assert_int_equal(jemalloc_class_size(0), 8);
	assert_int_equal(jemalloc_class_size(1), 16);
	assert_int_equal(jemalloc_class_size(4), 64);
	assert_int_equal(jemalloc_class_size(5), 80);
	assert_int_equal(jemalloc_class_size(SMALL_CLASS_CNT - 1), 14336);
	assert_int_equal(jemalloc_class_size(SMALL_CLASS_CNT), 16384);
	assert_int_equal(jemalloc_class_size(CLASS_CNT - 1), 7ULL << 60);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_images),
		cmocka_unit_test(test_other_heaps_are_not_taken_for_one),
		cmocka_unit_test(test_damages),
		cmocka_unit_test(test_size_classes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
