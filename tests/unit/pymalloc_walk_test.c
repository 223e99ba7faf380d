/* CPythons on paper, walked; the figures are worked out by hand. Real ones: e2e/test_pymalloc.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/units.h"
#include "probe/python_versions.h"
#include "pymalloc_scene.h"

static int find(struct scene *s, unsigned version, struct heap **heap)
{
	struct error err = {""};
	int rc = heap_walker_pymalloc.find(&s->mem, version, heap, &err);

	assert_int_equal(rc != 0, err.text[0] != '\0');
	assert_int_equal(s->absent_reads, 0);
	return rc;
}

static void walk_with(struct scene *s, struct heap_walk *walk)
{
	struct heap *heap = NULL;
	struct error err;

	assert_int_equal(find(s, 0, &heap), 0);
	assert_int_equal(heap_walker_pymalloc.walk(heap, &s->mem, true, walk, &err), 0);
	assert_int_equal(s->absent_reads, 0);
	assert_string_equal(walk->version, s->kind->range);
	heap_walker_pymalloc.free(heap);
}

static void check_sums(const struct heap_walk *walk)
{
	const struct heap_figures *f = &walk->total;

	assert_true(walk->complete);
	assert_int_equal(f->live.bytes + f->bins.bytes + f->fast.bytes + f->top + f->overhead, f->held);
	assert_int_equal(f->retained, heap_pinned_sum(&f->pinned));
	assert_int_equal(f->purgeable, 0);
	assert_true(f->retained <= f->resident && f->resident <= f->held);
	for (size_t i = 0; i < walk->arena_cnt; i++)
		assert_int_equal(walk->arenas[i].walked, walk->arenas[i].f.held);
}

/* Two arenas: full and used pools of several classes in one, a single block in the other. */
static void fill(struct scene *s)
{
	uint32_t first = scene_arena(s), second = scene_arena(s);

	scene_pool(s, first, 3, scene_capacity(s, 3)); /* full */
	scene_pool(s, first, 3, 10);
	scene_pool(s, first, 0, 7);
	scene_pool(s, first, 31, 0); /* free again */
	scene_pool(s, first, 31, 3);
	scene_pool(s, second, 6, 1);
	scene_pool(s, second, 6, 0);
	scene_unused(s, 16);
}

static void test_figures(void **state)
{
	(void)state;
	for (size_t i = 0; i < SCENE_KINDS; i++) {
		struct scene *s = scene_new(&scene_kinds[i]);
		uint64_t pool = s->kind->pool_size, arena = s->kind->arena_size;
		uint32_t full = scene_capacity(s, 3);
		uint64_t live = full * 64 + 10 * 64 + 7 * 16 + 3 * 512 + 1 * 112;
		uint64_t headers = 5 * 48,
			 tails = 2 * ((pool - 48) % 64) + (pool - 48) % 512 + (pool - 48) % 112;
		uint64_t lost = pool == POOL_SIZE_NEW ? 2 * pool : 0; /* the arenas are not aligned */
		struct heap_walk walk;

		fill(s);
		walk_with(s, &walk);
		check_sums(&walk);
		assert_false(walk.estimate);
		assert_int_equal(walk.retries, 0);
		assert_int_equal(walk.arena_cnt, 1);
		assert_string_equal(walk.arenas[0].name, "all interpreters");
		assert_int_equal(walk.arenas[0].heap_cnt, 2);
		assert_int_equal(walk.total.held, 2 * arena);
		assert_int_equal(walk.total.resident, 7 * pool);
		assert_int_equal(walk.total.live.bytes, live);
		assert_int_equal(walk.total.live.cnt, full + 10 + 7 + 3 + 1);
		assert_int_equal(walk.total.fast.bytes, 2 * pool);
		assert_int_equal(walk.total.top, 2 * arena - lost - 7 * pool);
		assert_int_equal(walk.total.overhead, headers + tails + lost);
		assert_int_equal(walk.total.retained, 7 * pool - live);
		assert_int_equal(walk.total.pinned.policy, 2 * pool);
		assert_int_equal(walk.total.pinned.overhead, headers + tails);
		assert_int_equal(walk.total.pinned.partial, 5 * pool - live - headers - tails);
		assert_int_equal(walk.total.largest_free, (arena / pool - (lost ? 1 : 0) - 1) * pool);
		assert_int_equal(heap_live_class(&walk, 6).cnt, full + 10 + 1);
		assert_int_equal(heap_live_class(&walk, 9).bytes, 3 * 512);
		assert_int_equal(walk.free_class[4].cnt, scene_capacity(s, 0) - 7);
		assert_int_equal(walk.ranges.cnt, 2);
		assert_int_equal(walk.ranges.size, arena);
		assert_int_equal(walk.ranges.empty, 0);
		assert_int_equal(walk.ranges.sparse, 2);
		assert_int_equal(walk.ranges.sparse_live, live);
		assert_int_equal(walk.ranges.sparse_retained, walk.total.retained);
		heap_walk_free(&walk);
		free(s);
	}
}

/* Of a pool whose blocks behind the first page were never handed out, one page is resident. */
static void test_untouched_pages(void **state)
{
	struct scene *s = scene_new(&scene_kinds[1]);
	struct heap_walk walk;
	uint8_t *pages;
	uint64_t pool;

	(void)state;
	scene_arena(s);
	pool = scene_pool(s, 0, 1, 20);
	scene_unused(s, 16);
	scene_bytes(s, pool, &pages);
	memset(pages + 1, 0, 3);
	walk_with(s, &walk);
	check_sums(&walk);
	assert_false(walk.estimate);
	assert_int_equal(walk.total.live.bytes, 20 * 32);
	assert_int_equal(walk.total.bins.cnt, scene_capacity(s, 1) - 20);
	assert_int_equal(walk.total.resident, 4096);
	assert_int_equal(walk.total.pinned.partial, 4096 - 20 * 32 - 48);
	assert_int_equal(walk.total.pinned.overhead, 48);
	heap_walk_free(&walk);
	free(s);
}

/* A swapped pool is never read, and what it holds is said to be unknown. */
static void test_swapped_pool(void **state)
{
	struct scene *s = scene_new(&scene_kinds[0]);
	struct heap_walk walk;
	uint8_t *page;
	uint64_t pool;

	(void)state;
	scene_arena(s);
	scene_pool(s, 0, 1, 20);
	pool = scene_pool(s, 0, 4, 20);
	scene_pool(s, 0, 6, 30);
	scene_unused(s, 16);
	scene_bytes(s, pool, &page);
	*page = PAGE_SWAPPED;
	walk_with(s, &walk);
	assert_true(walk.complete);
	assert_true(walk.estimate);
	assert_int_equal(walk.total.swapped, 4096);
	assert_int_equal(walk.total.live.cnt, 50);
	heap_walk_free(&walk);
	free(s);
}

static void test_shared_and_huge_pages(void **state)
{
	struct scene *s = scene_new(&scene_kinds[1]);
	struct heap_walk walk;
	uint8_t *page;

	(void)state;
	scene_arena(s);
	scene_bytes(s, scene_pool(s, 0, 1, 20), &page);
	*page = PAGE_PRESENT;
	scene_unused(s, 16);
	memset(s->arena_state + 64, PAGE_PRESENT | PAGE_EXCLUSIVE, 256 - 64);
	walk_with(s, &walk);
	check_sums(&walk);
	assert_int_equal(walk.total.shared, 4096);
	assert_int_equal(walk.total.pinned.top, (256 - 64 - 1) * 4096);   /* pools never used */
	assert_int_equal(walk.total.resident, 16384 + (256 - 64) * 4096); /* one page behind the last pool */
	heap_walk_free(&walk);
	free(s);
}

/* The last free arena is kept; one that is being unmapped just now is not counted. */
static void test_free_arenas(void **state)
{
	struct scene *s = scene_new(&scene_kinds[1]);
	struct heap_walk walk;
	uint64_t pool;

	(void)state;
	scene_arena(s);
	scene_arena(s);
	scene_arena(s);
	scene_pool(s, 0, 1, 20);
	scene_pool(s, 1, 9, 0);
	pool = scene_pool(s, 2, 9, 0);
	scene_unused(s, 16);
	walk_with(s, &walk);
	check_sums(&walk);
	assert_int_equal(walk.ranges.cnt, 3);
	assert_int_equal(walk.ranges.empty, 2);
	assert_int_equal(walk.ranges.sparse, 1);
	heap_walk_free(&walk);
	memset(s->arena_state + (pool - SCENE_ARENAS) / TARGET_PAGE_SIZE, 0, 4);
	walk_with(s, &walk);
	check_sums(&walk);
	assert_int_equal(walk.ranges.cnt, 2);
	heap_walk_free(&walk);
	free(s);
}

/* The vector's length is told by its shape: what lies behind it must not be taken for more of it. */
static void test_what_follows_the_vector(void **state)
{
	(void)state;
	for (uint32_t cnt = 16; cnt <= 64; cnt *= 2) {
		struct scene *s = scene_new(&scene_kinds[1]);
		struct heap_walk walk;

		fill(s);
		scene_unused(s, cnt);
		memset(scene_object(s, cnt), 0, 300 * sizeof(struct arena_object));
		walk_with(s, &walk);
		check_sums(&walk);
		assert_int_equal(walk.ranges.cnt, 2);
		/* The copy that realloc has left behind: other numbers than its own. */
		memcpy(scene_object(s, cnt), scene_object(s, 0), cnt * sizeof(struct arena_object));
		heap_walk_free(&walk);
		walk_with(s, &walk);
		check_sums(&walk);
		assert_int_equal(walk.ranges.cnt, 2);
		heap_walk_free(&walk);
		free(s);
	}
}

/* usable_arenas points into the vector, and may stand before the pointer to its beginning. */
static void test_pointers_into_the_vector(void **state)
{
	struct scene *s = scene_new(&scene_kinds[0]);
	struct heap_walk walk;

	(void)state;
	fill(s);
	scene_poke(s, SCENE_POINTER - 16, scene_object_at(1));
	scene_poke(s, SCENE_POINTER - 8, scene_object_at(2)); /* unused_arena_objects */
	walk_with(s, &walk);
	check_sums(&walk);
	assert_int_equal(walk.ranges.cnt, 2);
	heap_walk_free(&walk);
	free(s);
}

static void test_never_started(void **state)
{
	struct scene *s = scene_new(&scene_kinds[1]);
	struct heap *heap = NULL;

	(void)state;
	assert_int_equal(find(s, 3011, &heap), -ENOENT); /* PYTHONMALLOC=malloc */
	memset(s->data, 0, sizeof(s->data));
	assert_int_equal(find(s, 3013, &heap), -ENOENT);
	memset(s->data_state, 0, sizeof(s->data_state));
	assert_int_equal(find(s, 0, &heap), -ENOENT);
	assert_null(heap);
	free(s);
}

#define RUNTIME (SCENE_DATA + 0x4000)

static void say_version(struct scene *s, unsigned version, bool free_threaded)
{
	memcpy(scene_bytes(s, RUNTIME, NULL), PYTHON_DEBUG_COOKIE, 8);
	scene_poke(s, RUNTIME + PYTHON_DEBUG_VERSION, (uint64_t)version << 16 | 0x5f0);
	scene_poke(s, RUNTIME + PYTHON_DEBUG_FREE_THREADED, free_threaded);
}

static void test_free_threaded(void **state)
{
	struct scene *s = scene_new(&scene_kinds[2]);
	struct heap *heap = NULL;

	(void)state;
	fill(s);
	say_version(s, 0x30d, true);
	assert_int_equal(find(s, 0, &heap), -ENOTSUP);
	free(s);
}

/* Interpreters: the main one in _PyRuntime, one that shares its arenas, one with an arena of its own. */
static void test_interpreters(void **state)
{
	const uint16_t next = 0x20, id = 0x28, obmalloc = 0x60;
	const uint64_t main = RUNTIME + 0x800, sharing = SCENE_HEAP + 0x8000, other = SCENE_HEAP + 0x9000,
		       other_state = SCENE_HEAP + 0xa000, vector = SCENE_HEAP + 0xc000;
	const struct python_debug *debug = python_row_of(0x30e)->debug;
	struct scene *s = scene_new(&scene_kinds[2]);
	struct arena_object *own;
	struct heap *heap = NULL;
	struct heap_walk walk;
	struct error err;
	uint64_t pool;

	(void)state;
	fill(s);
	memset(s->heap + 0x8000, 0, 0x8000);
	say_version(s, 0x30e, false);
	scene_poke(s, RUNTIME + debug->interpreters_head, 0x700);
	scene_poke(s, RUNTIME + debug->interpreter_size, 0x400);
	scene_poke(s, RUNTIME + debug->interpreter_id, id);
	scene_poke(s, RUNTIME + debug->next_interpreter, next);
	scene_poke(s, RUNTIME + 0x700, other);
	scene_poke(s, other + next, sharing);
	scene_poke(s, sharing + next, main);
	scene_poke(s, other + id, 7);
	scene_poke(s, main + obmalloc, SCENE_USED);
	scene_poke(s, sharing + obmalloc, SCENE_USED);
	scene_poke(s, other + obmalloc, other_state);

	/* Its arena is the third, number 0 of a vector of its own. */
	scene_arena(s);
	pool = scene_pool(s, 2, 5, scene_capacity(s, 5));
	scene_poke(s, pool + 32, (uint64_t)5 << 32);
	own = (struct arena_object *)scene_bytes(s, vector, NULL);
	own[0] = *scene_object(s, 2);
	for (uint32_t i = 1; i < 15; i++)
		own[i].nextarena = vector + (i + 1) * sizeof(*own);
	s->arena_cnt = 2;
	scene_unused(s, 16);
	for (unsigned i = 0; i < USED_WORDS; i++)
		scene_poke(s, other_state + 8 * i, other_state + 16 * (i / 2) - 16);
	scene_poke(s, other_state + STATE_ARENAS, vector);
	scene_poke(s, other_state + STATE_ARENAS + 8, 16);

	assert_int_equal(find(s, 0, &heap), 0);
	assert_int_equal(heap_walker_pymalloc.walk(heap, &s->mem, false, &walk, &err), 0);
	check_sums(&walk);
	assert_string_equal(walk.version, "3.14");
	assert_int_equal(walk.arena_cnt, 2);
	assert_string_equal(walk.arenas[0].name, "main interpreter");
	assert_int_equal(walk.arenas[0].heap_cnt, 2);
	assert_string_equal(walk.arenas[1].name, "interpreter 7");
	assert_int_equal(walk.arenas[1].f.live.cnt, scene_capacity(s, 5));
	assert_int_equal(walk.ranges.cnt, 3);
	heap_walk_free(&walk);
	heap_walker_pymalloc.free(heap);
	free(s);
}

/* What is wrong is named with its place, and what is right is counted all the same. */
static void test_damaged_pools(void **state)
{
	static const struct {
		uint16_t offset;
		uint32_t value;
		const char *why;
	} damages[] = {
		{0, 5000, "a pool with more blocks in use than it holds"},
		{32, 1, "a pool of another arena"},
		{36, 32, "a pool of no size class"},
		{44, 64, "a pool of no size class"},
		{0, 0, "free pools that its object does not count"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
		struct scene *s = scene_new(&scene_kinds[1]);
		struct heap_walk walk;
		uint64_t pool;

		fill(s);
		pool = scene_first(s, 0) + 4ULL * s->kind->pool_size; /* the class has another pool */
		memcpy(scene_bytes(s, pool + damages[i].offset, NULL), &damages[i].value, 4);
		walk_with(s, &walk);
		assert_false(walk.complete);
		assert_string_equal(walk.arenas[0].inconsistent, damages[i].why);
		assert_int_equal(walk.arenas[0].inconsistent_at,
				 i + 1 < sizeof(damages) / sizeof(damages[0]) ? pool : SCENE_ARENAS);
		assert_int_equal(walk.total.held, 2 * s->kind->arena_size);
		assert_int_equal(walk.arenas[0].walked, s->kind->arena_size);
		assert_int_equal(walk.total.live.cnt, 1);
		heap_walk_free(&walk);
		free(s);
	}
}

static void test_damaged_objects(void **state)
{
	(void)state;
	for (size_t i = 0; i < SCENE_KINDS; i++) {
		for (unsigned what = 0; what < 6; what++) {
			struct scene *s = scene_new(&scene_kinds[i]);
			struct heap *heap = NULL;

			fill(s);
			switch (what) {
			case 0:
				scene_object(s, 1)->ntotalpools = 0xffffffff;
				break;
			case 1:
				scene_object(s, 1)->nfreepools = 1000;
				break;
			case 2:
				scene_object(s, 1)->pool_address += 16;
				break;
			case 3:
				scene_object(s, 1)->address += 8;
				break;
			case 4:
				scene_object(s, 5)->nextarena = 0; /* the list of the unused ends twice */
				break;
			default:
				scene_object(s, 5)->nextarena = SCENE_VECTOR + 7;
				break;
			}
			assert_int_equal(find(s, 0, &heap), -EAGAIN);
			free(s);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_figures),
		cmocka_unit_test(test_untouched_pages),
		cmocka_unit_test(test_swapped_pool),
		cmocka_unit_test(test_shared_and_huge_pages),
		cmocka_unit_test(test_free_arenas),
		cmocka_unit_test(test_what_follows_the_vector),
		cmocka_unit_test(test_pointers_into_the_vector),
		cmocka_unit_test(test_never_started),
		cmocka_unit_test(test_free_threaded),
		cmocka_unit_test(test_interpreters),
		cmocka_unit_test(test_damaged_pools),
		cmocka_unit_test(test_damaged_objects),
	};

	return cmocka_run_group_tests_name("pymalloc_walk", tests, NULL, NULL);
}
