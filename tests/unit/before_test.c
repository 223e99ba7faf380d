/* What walks say to a ledger: blocks from before the attach, and estimates that agree with what is counted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>

#include "base/units.h"
#include "heap/before.h"
#include "heap/ledger.h"

#define BEGAN NSEC_PER_SEC
#define HEAP 0x550000000000ULL
#define SIZE 48 /* of all blocks, as they are rounded */
#define ADDR(i) (HEAP + SIZE * (uint64_t)(i))

static uint64_t rounded(uint64_t size)
{
	return (size + 15) & ~15ULL;
}

static const struct allocator allocator = {.name = "made up", .rounded = rounded};

/* A heap of so many blocks, of which those from `from` on are live. */
static void walk_of(unsigned from, unsigned cnt, struct heap_blocks live[STEP_CNT], struct heap_pages *pages)
{
	*pages = (struct heap_pages){.v = NULL};
	for (unsigned i = 0; i < STEP_CNT; i++)
		live[i] = (struct heap_blocks){0};
	live[size_step(SIZE)] = (struct heap_blocks){cnt - from, (uint64_t)(cnt - from) * SIZE};
	heap_pages_begin_extent(pages, HEAP);
	for (unsigned i = from; i < cnt; i++)
		heap_pages_mark(pages, ADDR(i), SIZE);
	heap_pages_cut(pages, ADDR(cnt));
	heap_pages_finish(pages);
}

static void walked(struct before *b, unsigned from, unsigned cnt, const struct blocks *table)
{
	struct heap_blocks live[STEP_CNT];
	struct heap_pages pages;

	walk_of(from, cnt, live, &pages);
	before_walked(b, live, &pages, table);
	heap_pages_free(&pages);
}

static double alive(const struct before *b)
{
	return before_living(b, size_step(SIZE)).alive;
}

static void what_all_see_is_exact(void **state)
{
	struct blocks *table = blocks_new(GIB);
	struct block ours = {.addr = ADDR(7), .size = SIZE}, replaced;
	struct before *b = before_new();

	(void)state;
	blocks_add(table, &ours, &replaced);
	assert_true(alive(b) == 0);
	walked(b, 0, 100, table);
	assert_true(before_is_sampled(b));
	assert_true(fabs(before_found(b, size_step(SIZE)) - 99) < 1e-9);
	before_left(b, ADDR(7), COHORT_DIED, true); /* ours */
	assert_true(fabs(alive(b) - 99) < 1e-9);
	before_left(b, ADDR(1), COHORT_DIED, true);
	before_left(b, ADDR(1), COHORT_DIED, true); /* another one's */
	before_left(b, ADDR(2), COHORT_DIED, true);
	assert_true(fabs(alive(b) - 97) < 1e-9);
	before_exec(b);
	assert_true(alive(b) == 0);
	before_free(b);
	blocks_free(table);
}

/* Sizes that the count has none of, as of a heap that has changed between the two. */
static void what_was_not_counted_is_not_there(void **state)
{
	struct blocks *table = blocks_new(GIB);
	struct heap_blocks live[STEP_CNT];
	struct before *b = before_new();
	struct heap_pages pages;

	(void)state;
	walk_of(0, 100, live, &pages);
	live[size_step(SIZE)] = (struct heap_blocks){0};
	before_walked(b, live, &pages, table);
	before_left(b, ADDR(1), COHORT_DIED, true);
	before_left(b, ADDR(1), COHORT_DIED, false);
	before_pass(b, &(struct ages){.reused = 1}, 10, 1e6);
	assert_true(alive(b) == 0);
	heap_pages_free(&pages);
	before_free(b);
	blocks_free(table);
}

/* Of a sample, as many die as of all. */
static void a_sample_stands_for_all(void **state)
{
	const unsigned cnt = 200000;
	struct blocks *table = blocks_new(GIB);
	struct before *b = before_new();

	(void)state;
	walked(b, 0, cnt, table);
	assert_true(fabs(alive(b) - cnt) < 1e-3);
	for (unsigned i = 0; i < cnt / 4; i++)
		before_left(b, ADDR(i), COHORT_DIED, true);
	assert_true(fabs(alive(b) - 0.75 * cnt) < 0.02 * cnt);
	before_free(b);
	blocks_free(table);
}

static void a_walk_that_finds_them_gone_leaves_no_more(void **state)
{
	struct blocks *table = blocks_new(GIB);
	struct before *b = before_new();

	(void)state;
	walked(b, 0, 1000, table);
	walked(b, 400, 1000, table);
	assert_true(alive(b) <= 600 + 1e-6);
	assert_true(before_living(b, size_step(SIZE)).most <= 600 + 1e-6);
	before_free(b);
	blocks_free(table);
}

/* One cell in ten is seen: deaths count for ten, but for those at addresses that turn over. */
static void deaths_in_cells_count_by_weight(void **state)
{
	struct ages ages = {.reused = 1, .cells = 1};
	uint64_t random = 1;
	struct blocks *table = blocks_new(GIB);
	struct before *b = before_new();

	(void)state;
	walked(b, 0, 1000, table);
	for (unsigned i = 0; i < 20; i++)
		before_left(b, ADDR(i), COHORT_DIED, false);
	before_pass(b, &ages, 10, 1e6);
	assert_true(fabs(alive(b) - 800) < 1);
	/* The 200 that are dead turn over, one in ten a cell by chance, and nothing else: no more has died.
	 */
	for (unsigned cell = 0; cell < 10; cell++) {
		for (unsigned i = 0; i < 200; i++)
			if ((random = random * 6364136223846793005ULL + 1) >> 33 < (1ULL << 31) / 10)
				before_left(b, ADDR(i), COHORT_DIED, false);
		before_pass(b, &ages, 10, 1e6);
	}
	assert_true(fabs(alive(b) - 800) < 100);
	before_free(b);
	blocks_free(table);
}

static void say(struct ledger *l, uint32_t kind, uint64_t addr, uint64_t time)
{
	const struct event_block block = {
		.head = {.kind = kind, .tid = 1, .tgid = 1, .time = time},
		.addr = addr,
		.size = SIZE,
		.stack = 7,
	};
	const struct event ev = {.head = &block.head, .block = &block};

	ledger_event(l, &ev, block.stack, &allocator, REALLOC_FREES_ZERO);
}

static void mark(struct ledger *l, enum cell_state state, uint64_t number, uint64_t time)
{
	ledger_cell(l, &(struct event_cell){
			       .head = {.kind = EVENT_CELL, .tgid = 1, .time = time},
			       .number = number,
			       .chance = CELL_SURE / 10,
			       .progress = state == CELL_BEGIN ? 45000000 : 5000000,
			       .cpu = state == CELL_BEGIN ? 0 : 5000000,
			       .state = state,
		       });
}

static struct ledger *begin(void)
{
	return ledger_new(
		&(struct ledger_options){.max_memory = GIB, .size_max = UINT64_MAX, .began_ns = BEGAN});
}

/* Cells of 5 ms, each with blocks at new addresses, of which the first ones die in it. */
static uint64_t cells(struct ledger *l, unsigned cnt, unsigned blocks, unsigned die)
{
	uint64_t time = BEGAN, addr = 10000;

	for (unsigned cell = 1; cell <= cnt; cell++) {
		time += 50000000;
		mark(l, CELL_BEGIN, cell, time);
		for (unsigned i = 0; i < blocks; i++)
			say(l, EVENT_ALLOC, ADDR(addr + i), time + 10000 * i);
		for (unsigned i = 0; i < die; i++)
			say(l, EVENT_FREE, ADDR(addr + i), time + 4000000);
		addr += blocks;
		mark(l, CELL_END, cell, time + 5000000);
	}
	return time + 5000000;
}

static void estimates_agree_with_a_walk(void **state)
{
	struct heap_blocks live[STEP_CNT];
	struct heap_pages pages;
	struct ledger_totals totals;
	struct site_bounds bounds;
	struct ledger *l = begin();
	struct site site;
	uint64_t now;

	(void)state;
	now = cells(l, 20, 20, 0);
	ledger_estimate_totals(l, now, &totals, &bounds);
	assert_in_range(totals.live.cnt, 3000, 5000); /* of 4000 */
	/* The first walk comes late: what it finds and nobody knows may be ours. */
	walk_of(0, 0, live, &pages);
	live[size_step(SIZE)] = (struct heap_blocks){2500, 2500 * SIZE};
	ledger_walked(l, live, &pages);
	ledger_estimate_totals(l, now, &totals, &bounds);
	assert_in_range(totals.live.cnt, 0, 2500);
	assert_in_range(totals.live_rounded, 0.99 * totals.live.cnt * SIZE, 1.01 * totals.live.cnt * SIZE);
	ledger_estimate(l, 1, now, &site, &bounds);
	assert_in_range(site.live.cnt, 0, totals.live.cnt + 1);
	assert_true(bounds.live.high.cnt >= site.live.cnt && bounds.live.low.cnt <= site.live.cnt);
	heap_pages_free(&pages);
	ledger_free(l);
}

/* The attach's walk has found nothing: what a later one counts is ours. */
static void what_is_not_from_before_is_ours(void **state)
{
	struct heap_blocks live[STEP_CNT];
	struct heap_pages pages;
	struct ledger_totals totals;
	struct site_bounds bounds;
	struct ledger *l = begin();
	struct site site;
	uint64_t now;

	(void)state;
	walk_of(0, 0, live, &pages);
	ledger_walked(l, live, &pages);
	now = cells(l, 20, 20, 0);
	live[size_step(SIZE)] = (struct heap_blocks){4321, 4321 * SIZE};
	ledger_walked(l, live, &pages);
	ledger_estimate(l, 1, now, &site, &bounds);
	assert_in_range(site.live.cnt, 4320, 4322);
	assert_in_range(site.live.bytes, 0.99 * 4321 * SIZE, 1.01 * 4321 * SIZE);
	ledger_estimate_totals(l, now, &totals, &bounds);
	assert_in_range(totals.live.cnt, 4320, 4322);
	assert_in_range(bounds.live.high.cnt, 4322, 4500);
	heap_pages_free(&pages);
	ledger_free(l);
}

/* All that was seen is dead, but some are live at any time: they are rounded as one is. */
static void estimates_without_a_block_are_rounded_too(void **state)
{
	struct ledger_totals totals;
	struct site_bounds bounds;
	struct ledger *l = begin();
	uint64_t now;

	(void)state;
	now = cells(l, 12, 20, 8);
	for (unsigned i = 0; i < 12 * 20; i++)
		ledger_bury(l, ADDR(10000 + i));
	assert_int_equal(ledger_totals(l)->live.cnt, 0);
	ledger_estimate_totals(l, now, &totals, &bounds);
	assert_true(totals.live.cnt > 0);
	assert_in_range(totals.live_rounded, totals.live.bytes / 2, 2 * totals.live.bytes);
	ledger_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_all_see_is_exact),
		cmocka_unit_test(what_was_not_counted_is_not_there),
		cmocka_unit_test(a_sample_stands_for_all),
		cmocka_unit_test(a_walk_that_finds_them_gone_leaves_no_more),
		cmocka_unit_test(deaths_in_cells_count_by_weight),
		cmocka_unit_test(estimates_agree_with_a_walk),
		cmocka_unit_test(what_is_not_from_before_is_ours),
		cmocka_unit_test(estimates_without_a_block_are_rounded_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
