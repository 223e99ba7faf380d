/* Every row of the layout table walked on paper, against figures worked out by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "heap_scene.h"

static struct heap *found(struct scene *s, unsigned version)
{
	struct heap *heap = NULL;
	struct error err;

	assert_int_equal(heap_walker_glibc.find(&s->mem, version, &heap, &err), 0);
	return heap;
}

static void walk_with(struct scene *s, unsigned version, struct heap_walk *walk)
{
	struct heap *heap = found(s, version);
	struct error err;

	assert_int_equal(heap_walker_glibc.walk(heap, &s->mem, true, walk, &err), 0);
	assert_int_equal(s->absent_reads, 0);
	heap_walker_glibc.free(heap);
}

/* What must hold of every walk that adds up. */
static void check_sums(const struct heap_walk *walk)
{
	const struct heap_figures *f = &walk->arenas[0].f;

	assert_int_equal(walk->arenas[0].walked, f->held);
	assert_int_equal(f->live.bytes + f->bins.bytes + f->fast.bytes + f->thread_cache.bytes + f->top +
				 f->overhead,
			 f->held);
	assert_int_equal(f->retained, f->purgeable + f->pinned.partial + f->pinned.top +
					      f->pinned.thread_cache + f->pinned.overhead);
	assert_true(f->retained <= f->resident);
}

/* used, free, used, fast runs, cached: one of each. */
static void fill(struct scene *s)
{
	if (s->row->tcache)
		scene_tcache(s);
	scene_used(s, 0x100);
	scene_binned(s, 0x6000);
	scene_used(s, 0x1230);
	if (s->row->fastbins) {
		scene_fast(s);
		scene_fast(s);
	}
	scene_used(s, 0x30);
	if (s->row->tcache) {
		scene_cached(s);
		scene_cached(s);
		scene_cached(s);
	}
	scene_used(s, 0x50);
	scene_top(s);
}

static void check_row(const struct glibc_row *row, unsigned version, const char *name)
{
	struct scene *s = scene_new(row);
	uint64_t own = row->tcache ? row->tcache->chunk : 0, free_start = SCENE_HEAP + own + 0x100;
	uint64_t top_size, purge_low, purge_high;
	struct heap_walk walk;

	fill(s);
	top_size = SCENE_HEAP + sizeof(s->heap) - s->at;
	walk_with(s, version, &walk);
	assert_string_equal(walk.version, name);
	assert_true(walk.complete);
	assert_false(walk.estimate);
	assert_int_equal(walk.retries, 0);
	check_sums(&walk);
	assert_int_equal(walk.total.held, sizeof(s->heap));
	assert_int_equal(walk.total.resident, sizeof(s->heap));
	assert_int_equal(walk.total.live.bytes, own + 0x100 + 0x1230 + 0x30 + 0x50);
	assert_int_equal(walk.total.live.cnt, row->tcache ? 5 : 4);
	assert_int_equal(walk.total.bins.bytes, 0x6000);
	assert_int_equal(walk.total.fast.cnt, row->fastbins ? 2 : 0);
	assert_int_equal(walk.total.thread_cache.cnt, row->tcache ? 3 : 0);
	assert_int_equal(walk.total.thread_cache.bytes, row->tcache ? 3 * 0x40 : 0);
	assert_int_equal(walk.total.top, top_size);
	assert_int_equal(walk.total.largest_free, top_size);
	assert_string_equal(walk.settings[0].key, "trim_threshold");
	assert_int_equal(walk.settings[0].value, 128 << 10);
	/* mtrim: whole pages behind the header; systrim: all but MINSIZE + 1 bytes, in pages. */
	purge_low = align_up(free_start + 48, TARGET_PAGE_SIZE);
	purge_high = align_down(free_start + 0x6000, TARGET_PAGE_SIZE);
	assert_int_equal(walk.total.purgeable,
			 purge_high - purge_low + align_down(top_size - 33, TARGET_PAGE_SIZE));
	heap_walk_free(&walk);
	free(s);
}

static void test_rows_by_version(void **state)
{
	(void)state;
	for (size_t i = 0; i < glibc_row_cnt; i++)
		for (unsigned v = glibc_rows[i].from; v <= glibc_rows[i].to; v++) {
			char name[24];

			snprintf(name, sizeof(name), "%u.%u", v / 1000, v % 1000);
			check_row(&glibc_rows[i], v, name);
		}
}

/* Nobody names the version, as in a static program. */
static void test_rows_by_memory(void **state)
{
	(void)state;
	for (size_t i = 0; i < glibc_row_cnt; i++)
		check_row(&glibc_rows[i], 0, glibc_rows[i].range);
}

/* A version that the memory contradicts is not believed. */
static void test_wrong_hint(void **state)
{
	const struct glibc_row *row = &glibc_rows[2];

	(void)state;
	check_row(row, 2031, row->range);
	check_row(row, 2017, row->range);
}

static const struct glibc_row *row_of(unsigned version)
{
	for (size_t i = 0; i < glibc_row_cnt; i++)
		if (version >= glibc_rows[i].from && version <= glibc_rows[i].to)
			return &glibc_rows[i];
	return NULL;
}

/* Fast chunks merge with each other, with their free neighbours, and into top. */
static void test_fast_runs_merge(void **state)
{
	struct scene *s = scene_new(row_of(2036));
	struct heap_walk walk;
	uint64_t run, run_end, merged;

	(void)state;
	scene_tcache(s);
	scene_used(s, 0x100);
	run = s->at;
	for (unsigned i = 0; i < 200; i++)
		scene_fast(s);
	scene_binned(s, 0x800);
	for (unsigned i = 0; i < 200; i++)
		scene_fast(s);
	run_end = s->at;
	scene_used(s, 0x1000);
	merged = s->at;
	for (unsigned i = 0; i < 300; i++)
		scene_fast(s);
	scene_top(s);
	walk_with(s, 2036, &walk);
	check_sums(&walk);
	assert_int_equal(walk.total.fast.cnt, 700);
	assert_int_equal(walk.total.bins.bytes, 0x800);
	assert_int_equal(walk.total.largest_free, SCENE_HEAP + sizeof(s->heap) - merged);
	assert_int_equal(walk.total.purgeable,
			 align_down(run_end, 4096) - align_up(run + 48, 4096) +
				 align_down(SCENE_HEAP + sizeof(s->heap) - merged - 33, 4096));
	heap_walk_free(&walk);
	free(s);
}

/* systrim keeps MINSIZE + 1 bytes: a top of 2 pages and 32 bytes gives one page, with 48 it gives two. */
static void test_top_keeps_a_chunk(void **state)
{
	(void)state;
	for (unsigned extra = 0x20; extra <= 0x30; extra += 0x10) {
		struct scene *s = scene_new(row_of(2036));
		struct heap_walk walk;

		scene_tcache(s);
		scene_used(s, sizeof(s->heap) - 0x290 - 0x2000 - extra);
		scene_top(s);
		walk_with(s, 2036, &walk);
		check_sums(&walk);
		assert_int_equal(walk.total.top, 0x2000 + extra);
		assert_int_equal(walk.total.purgeable, extra == 0x20 ? 0x1000 : 0x2000);
		heap_walk_free(&walk);
		free(s);
	}
}

/* thp_pagesize (glibc.malloc.hugetlb=1): top goes back in huge pages. */
static void test_huge_page_rounding(void **state)
{
	struct scene *s = scene_new(row_of(2036));
	struct heap_walk walk;

	(void)state;
	scene_tcache(s);
	scene_used(s, 0x100);
	scene_top(s);
	scene_poke(s, SCENE_PAR + s->row->par->thp_pagesize, 2 << 20);
	walk_with(s, 2036, &walk);
	assert_int_equal(walk.total.purgeable, 0);
	heap_walk_free(&walk);
	scene_poke(s, SCENE_PAR + s->row->par->thp_pagesize, 128 << 10);
	walk_with(s, 2036, &walk);
	assert_int_equal(walk.total.purgeable, 128 << 10);
	assert_int_equal(walk.total.pinned.top, SCENE_HEAP + sizeof(s->heap) - s->at - (128 << 10));
	heap_walk_free(&walk);
	free(s);
}

/* Only what is in RAM counts: absent, zero, swapped and shared pages each apart. */
static void test_page_states(void **state)
{
	struct scene *s = scene_new(row_of(2036));
	struct heap_walk walk;
	uint64_t page;

	(void)state;
	scene_tcache(s);
	scene_used(s, 0x100);
	scene_binned(s, 0x8000);
	scene_used(s, 0x100);
	scene_top(s);
	page = align_up(SCENE_HEAP + 0x290 + 0x100 + 48, 4096); /* the first that a trim would drop */
	*scene_state(s, page) = 0;
	*scene_state(s, page + 0x1000) = PAGE_ZERO;
	*scene_state(s, page + 0x2000) = PAGE_SWAPPED;
	*scene_state(s, page + 0x3000) = PAGE_PRESENT;
	walk_with(s, 2036, &walk);
	check_sums(&walk);
	assert_true(walk.complete);
	assert_int_equal(walk.total.resident, sizeof(s->heap) - 3 * 4096);
	assert_int_equal(walk.total.swapped, 4096);
	assert_int_equal(walk.total.shared, 4096);
	assert_int_equal(walk.total.purgeable_shared, 4096);
	assert_int_equal(walk.total.purgeable,
			 0x7000 - 3 * 4096 + align_down(SCENE_HEAP + sizeof(s->heap) - s->at - 33, 4096));
	heap_walk_free(&walk);
	free(s);
}

/* A header on a swapped page: what lies behind it is found again, and the figures are an estimate. */
static void test_swapped_header(void **state)
{
	struct scene *s = scene_new(row_of(2036));
	struct heap_walk walk;

	(void)state;
	scene_tcache(s);
	for (unsigned i = 0; i < 400; i++)
		scene_used(s, 0x80 + 0x10 * (i % 5));
	scene_top(s);
	*scene_state(s, SCENE_HEAP + 0x3000) = PAGE_SWAPPED;
	walk_with(s, 2036, &walk);
	check_sums(&walk);
	assert_true(walk.complete);
	assert_true(walk.estimate);
	assert_int_equal(walk.total.swapped, 4096);
	assert_int_equal(walk.total.live.bytes, s->at - SCENE_HEAP);
	heap_walk_free(&walk);
	free(s);
}

/* Memory that somebody else took by sbrk: two fenceposts, a gap, and the chain goes on. */
static void test_foreign_sbrk(void **state)
{
	struct scene *s = scene_new(row_of(2036));
	uint64_t gap, before;
	struct heap_walk walk;

	(void)state;
	scene_tcache(s);
	scene_used(s, 0x3000 - 0x290 - 0x20 - 0x40);
	scene_binned(s, 0x40);
	before = s->at;
	scene_used(s, 0x10);
	scene_used(s, 0x10);
	assert_int_equal(s->at & 4095, 0);
	gap = 5008;
	memset(scene_bytes(s, s->at), 0x55, gap);
	s->at += gap;
	for (unsigned i = 0; i < 40; i++)
		scene_used(s, 0x60);
	scene_top(s);
	walk_with(s, 2036, &walk);
	check_sums(&walk);
	assert_true(walk.complete);
	assert_int_equal(walk.arenas[0].heap_cnt, 2);
	assert_int_equal(walk.total.overhead, gap + 0x20);
	assert_int_equal(walk.total.pinned.overhead, 0x20);
	assert_int_equal(walk.total.live.bytes, before - SCENE_HEAP - 0x40 + 40 * 0x60);
	heap_walk_free(&walk);
	free(s);
}

/* The break belongs to somebody else: top stays where it is. */
static void test_top_below_break(void **state)
{
	struct scene *s = scene_new(row_of(2036));
	uint64_t system_mem = SCENE_ARENA + glibc_next_offset(s->row) + s->row->system_mem;
	struct heap_walk walk;

	(void)state;
	scene_tcache(s);
	scene_used(s, 0x100);
	scene_top(s);
	scene_poke(s, s->at + 8, (SCENE_HEAP + 0x20000 - s->at) | CHUNK_PREV_INUSE);
	scene_poke(s, system_mem, 0x20000);
	walk_with(s, 2036, &walk);
	check_sums(&walk);
	assert_true(walk.complete);
	assert_int_equal(walk.total.purgeable, 0);
	assert_int_equal(walk.total.pinned.top, SCENE_HEAP + 0x20000 - s->at);
	heap_walk_free(&walk);
	free(s);
}

/* An arena that was set up and never used: another allocator serves. */
static void test_idle(void **state)
{
	struct scene *s = scene_new(row_of(2043));
	struct heap *heap = NULL;
	struct error err;

	(void)state;
	scene_poke(s, SCENE_ARENA + s->row->bins - 16, SCENE_ARENA + s->row->bins - 16);
	scene_poke(s, SCENE_ARENA + glibc_next_offset(s->row) + 24, 0);
	scene_poke(s, SCENE_PAR + s->row->par->sbrk_base, 0);
	assert_int_equal(heap_walker_glibc.find(&s->mem, 2043, &heap, &err), -ENOENT);
	memset(s->libc, 0, sizeof(s->libc));
	assert_int_equal(heap_walker_glibc.find(&s->mem, 2043, &heap, &err), -ENOENT);
	free(s);
}

/* ---- broken heaps: never a crash or an endless loop, and said to be broken ---- */

static void walk_broken(struct scene *s, const char *why)
{
	struct heap_walk walk;

	walk_with(s, 2036, &walk);
	assert_false(walk.complete);
	assert_non_null(walk.arenas[0].inconsistent);
	assert_true(walk.arenas[0].inconsistent_at != 0);
	if (why)
		assert_string_equal(walk.arenas[0].inconsistent, why);
	heap_walk_free(&walk);
	free(s);
}

static struct scene *filled(uint64_t *victim)
{
	struct scene *s = scene_new(row_of(2036));

	scene_tcache(s);
	for (unsigned i = 0; i < 20; i++)
		scene_used(s, 0x80);
	*victim = scene_used(s, 0x80);
	for (unsigned i = 0; i < 20; i++)
		scene_used(s, 0x80);
	scene_top(s);
	return s;
}

static void test_corrupted_headers(void **state)
{
	static const struct {
		uint64_t head;
		const char *why;
	} cases[] = {
		{0, "a chunk has no size"},
		{1, "a chunk has no size"},
		{0x88 | 1, "a chunk's size is no multiple of 16"},
		{0x80 | 3, "a chunk in the heap says that it is mmapped"},
		{0x7ffffff1, "a chunk reaches beyond its heap"},
		{UINT64_MAX & ~14ULL, "a chunk reaches beyond its heap"},
		{0x30000 | 1, "a chunk reaches beyond top"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t victim;
		struct scene *s = filled(&victim);

		scene_poke(s, victim + 8, cases[i].head);
		walk_broken(s, cases[i].why);
	}
}

static void test_corrupted_arena(void **state)
{
	uint64_t victim, system_mem;
	struct scene *s = filled(&victim);

	(void)state;
	system_mem = SCENE_ARENA + glibc_next_offset(s->row) + s->row->system_mem;
	scene_poke(s, system_mem, 0x50000);
	walk_broken(s, NULL);
	s = filled(&victim);
	*scene_state(s, s->at) = PAGE_SWAPPED;
	walk_broken(s, NULL);
}

static void test_cyclic_lists(void **state)
{
	struct scene *s = scene_new(row_of(2036));
	struct heap_walk walk;
	uint64_t first, second;

	(void)state;
	scene_tcache(s);
	first = scene_fast(s);
	second = scene_fast(s);
	scene_poke(s, first + 16, scene_link(s, first + 16, second));
	first = scene_cached(s) + 16;
	second = scene_cached(s) + 16;
	scene_poke(s, first, scene_link(s, first, second));
	scene_used(s, 0x40);
	scene_top(s);
	walk_with(s, 2036, &walk);
	assert_true(walk.estimate);
	assert_true(walk.complete);
	/* Longer than its counter says: no cache of a thread. */
	assert_int_equal(walk.total.thread_cache.cnt, 0);
	heap_walk_free(&walk);
	free(s);
}

/* A ring of arenas that never closes. */
static void test_endless_arenas(void **state)
{
	struct scene *s = scene_new(row_of(2036));
	struct heap *heap;
	struct heap_walk walk;
	struct error err;

	(void)state;
	fill(s);
	heap = found(s, 2036);
	/* An arena whose next is itself, and main points to it. */
	scene_poke(s, SCENE_ARENA + glibc_next_offset(s->row), SCENE_LIBC + 0x1000);
	scene_poke(s, SCENE_LIBC + 0x1000 + glibc_next_offset(s->row), SCENE_LIBC + 0x1000);
	assert_int_equal(heap_walker_glibc.walk(heap, &s->mem, true, &walk, &err), -EAGAIN);
	heap_walker_glibc.free(heap);
	free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows_by_version),
		cmocka_unit_test(test_rows_by_memory),
		cmocka_unit_test(test_wrong_hint),
		cmocka_unit_test(test_fast_runs_merge),
		cmocka_unit_test(test_top_keeps_a_chunk),
		cmocka_unit_test(test_huge_page_rounding),
		cmocka_unit_test(test_page_states),
		cmocka_unit_test(test_swapped_header),
		cmocka_unit_test(test_foreign_sbrk),
		cmocka_unit_test(test_top_below_break),
		cmocka_unit_test(test_idle),
		cmocka_unit_test(test_corrupted_headers),
		cmocka_unit_test(test_corrupted_arena),
		cmocka_unit_test(test_cyclic_lists),
		cmocka_unit_test(test_endless_arenas),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
