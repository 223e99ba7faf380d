#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "heap/ledger.h"

#define BEGAN NSEC_PER_SEC

static uint64_t usable(uint64_t header)
{
	return header - 8;
}

static uint64_t rounded(uint64_t size)
{
	return (size + 15) & ~15ULL;
}

static const struct allocator glibc = {.name = "glibc", .usable = usable, .rounded = rounded};
static const struct allocator opaque = {.name = "opaque"};

static struct ledger *begin(void)
{
	return ledger_new(
		&(struct ledger_options){.max_memory = GIB, .size_max = UINT64_MAX, .began_ns = BEGAN});
}

/* Who, from which stack, with which rule: what a script changes now and then. */
static uint32_t tid = 1;
static uint64_t stack = 100, now = BEGAN;
static enum realloc_null rule = REALLOC_FREES_ZERO;
static const struct allocator *from = &glibc;

static int reset(void **state)
{
	(void)state;
	tid = 1;
	stack = 100;
	now = BEGAN;
	rule = REALLOC_FREES_ZERO;
	from = &glibc;
	return 0;
}

static void say(struct ledger *l, uint32_t kind, uint64_t addr, uint64_t size)
{
	const struct event_block block = {
		.head = {.kind = kind, .tid = tid, .tgid = 1, .time = now},
		.addr = addr,
		.size = size,
		.stack = kind == EVENT_REALLOC_BEGIN ? 0 : stack,
	};
	const struct event ev = {.head = &block.head, .block = &block};

	ledger_event(l, &ev, block.stack, from, rule);
}

static const struct site *site(struct ledger *l, uint64_t of)
{
	return sites_at(ledger_sites(l), sites_get(ledger_sites(l), of));
}

#define assert_count(c, n, b)                                                                                \
	do {                                                                                                 \
		assert_int_equal((c).cnt, n);                                                                \
		assert_int_equal((c).bytes, b);                                                              \
	} while (0)

static void an_allocation_lives_until_it_is_freed(void **state)
{
	struct ledger *l = begin();

	(void)state;
	say(l, EVENT_ALLOC, 0x1000, 100);
	say(l, EVENT_ALLOC, 0x2000, 50);
	assert_count(ledger_totals(l)->live, 2, 150);
	assert_int_equal(ledger_totals(l)->live_rounded, 112 + 64);
	assert_count(site(l, 100)->live, 2, 150);
	stack = 200;
	say(l, EVENT_FREE, 0x1000, 113);
	assert_count(ledger_totals(l)->live, 1, 50);
	assert_count(ledger_totals(l)->freed, 1, 100); /* as asked for, not as rounded */
	assert_count(ledger_totals(l)->freed_before, 0, 0);
	assert_count(site(l, 100)->freed, 1, 100);
	assert_count(site(l, 200)->freed_here, 1, 100);
	assert_count(site(l, 200)->freed, 0, 0);
	assert_int_equal(ledger_totals(l)->live_rounded, 64);
	ledger_free(l);
}

static void a_block_from_before_counts_by_its_header(void **state)
{
	struct ledger *l = begin();

	(void)state;
	say(l, EVENT_FREE, 0x9000, 72);
	assert_count(ledger_totals(l)->freed, 1, 64);
	assert_count(ledger_totals(l)->freed_before, 1, 64);
	assert_count(site(l, 100)->freed_here, 1, 64);
	from = &opaque;
	say(l, EVENT_FREE, 0x9100, 72);
	assert_count(ledger_totals(l)->freed, 2, 64); /* of an allocator that keeps no size there */
	ledger_free(l);
}

static void what_the_allocator_frees_anew_is_freed_once(void **state)
{
	struct ledger *l = begin();

	(void)state;
	say(l, EVENT_ALLOC, 0x1000, 100);
	say(l, EVENT_FREE, 0x1000, 112);
	say(l, EVENT_FREE_OWN, 0x1000, 0);
	say(l, EVENT_FREE, 0x1000, 112);
	assert_count(ledger_totals(l)->freed, 1, 100);
	assert_count(ledger_totals(l)->freed_before, 0, 0);
	/* Of this block and thread, and of no later free. */
	say(l, EVENT_FREE_OWN, 0x1000, 0);
	tid = 2;
	say(l, EVENT_FREE, 0x1000, 112);
	assert_count(ledger_totals(l)->freed_before, 1, 104);
	tid = 1;
	say(l, EVENT_FREE, 0x2000, 112);
	say(l, EVENT_FREE, 0x1000, 112);
	assert_count(ledger_totals(l)->freed_before, 3, 312);
	/* The record of its first free was lost. */
	say(l, EVENT_ALLOC, 0x3000, 10);
	say(l, EVENT_FREE_OWN, 0x3000, 0);
	say(l, EVENT_FREE, 0x3000, 0);
	assert_count(ledger_totals(l)->live, 0, 0);
	ledger_free(l);
}

static void a_sampled_free_stands_for_others(void **state)
{
	struct ledger *l = ledger_new(&(struct ledger_options){
		.max_memory = GIB, .size_max = UINT64_MAX, .began_ns = BEGAN, .free_sample_bytes = 4096});

	(void)state;
	for (uint64_t i = 1; i <= 4; i++)
		say(l, EVENT_ALLOC, i * 0x1000, 64);
	stack = 200;
	say(l, EVENT_FREE, 0x1000, EVENT_SIZE_KNOWN);
	stack = 0;
	say(l, EVENT_FREE, 0x2000, EVENT_SIZE_KNOWN);
	stack = 300;
	say(l, EVENT_FREE, 0x9000, 4096); /* by its header, as if it had been allocated before */
	stack = 400;
	say(l, EVENT_REALLOC_BEGIN, 0x3000, EVENT_SIZE_KNOWN);
	say(l, EVENT_REALLOC, 0x4800, 32);
	stack = 500;
	say(l, EVENT_FREE, 0xa000, EVENT_SIZE_KNOWN); /* whose allocation is lost */
	assert_count(site(l, 500)->freed_here, 1, 0);
	/* 64 bytes of 4096: 1 / (1 − e^(−1/64)) = 64.5; 4096 of 4096: 1.58. */
	assert_in_range(site(l, 200)->freed_here.cnt, 64, 65);
	assert_in_range(site(l, 200)->freed_here.bytes, 64 * 64.5 - 1, 64 * 64.5 + 1);
	assert_in_range(site(l, 300)->freed_here.cnt, 1, 2);
	assert_in_range(site(l, 300)->freed_here.bytes, 4088 * 1.58, 4088 * 1.59);
	assert_count(site(l, 0)->freed_here, 0, 0);
	assert_count(site(l, 400)->freed_here, 1, 64); /* the stack of its allocation was taken */
	assert_count(site(l, 100)->freed, 3, 192);
	assert_count(ledger_totals(l)->freed, 5, 192 + 4088);
	assert_count(ledger_totals(l)->freed_before, 2, 4088);
	ledger_free(l);
}

static void a_failed_call_changes_nothing(void **state)
{
	struct ledger *l = begin();

	(void)state;
	say(l, EVENT_ALLOC, 0, 1 << 30);
	assert_count(ledger_totals(l)->allocated, 0, 0);
	assert_int_equal(ledger_totals(l)->failed, 1);
	ledger_free(l);
}

static void a_realloc_is_a_free_and_an_allocation(void **state)
{
	struct ledger *l = begin();

	(void)state;
	say(l, EVENT_ALLOC, 0x1000, 100);
	stack = 200;
	say(l, EVENT_REALLOC_BEGIN, 0x1000, 113);
	assert_null(blocks_find(ledger_blocks(l), 0x1000));
	/* Another thread gets the old place before this one has returned. */
	tid = 2;
	stack = 300;
	say(l, EVENT_ALLOC, 0x1000, 7);
	tid = 1;
	stack = 200;
	say(l, EVENT_REALLOC, 0x5000, 400);
	assert_count(ledger_totals(l)->live, 2, 407);
	assert_count(ledger_totals(l)->freed, 1, 100);
	assert_count(ledger_totals(l)->allocated, 3, 507);
	assert_count(ledger_totals(l)->ghosts, 0, 0);
	assert_count(site(l, 100)->freed, 1, 100);
	assert_count(site(l, 200)->live, 1, 400);
	assert_count(site(l, 200)->freed_here, 1, 100);
	ledger_free(l);
}

static void a_realloc_of_a_block_from_before(void **state)
{
	struct ledger *l = begin();

	(void)state;
	say(l, EVENT_REALLOC_BEGIN, 0x1000, 72);
	say(l, EVENT_REALLOC, 0x1000, 400);
	assert_count(ledger_totals(l)->freed_before, 1, 64);
	assert_count(ledger_totals(l)->live, 1, 400);
	say(l, EVENT_REALLOC_BEGIN, 0x7000, 72);
	say(l, EVENT_REALLOC, 0, 400);
	assert_count(ledger_totals(l)->freed_before, 1, 64);
	ledger_free(l);
}

static void a_failed_realloc_goes_by_the_rule(void **state)
{
	static const struct {
		enum realloc_null rule;
		uint64_t size;
		bool lives;
		unsigned failed;
	} cases[] = {
		{REALLOC_KEEPS, 0, true, 1},       {REALLOC_KEEPS, 1 << 30, true, 1},
		{REALLOC_FREES_ZERO, 0, false, 0}, {REALLOC_FREES_ZERO, 1 << 30, true, 1},
		{REALLOC_FREES, 0, false, 0},      {REALLOC_FREES, 1 << 30, false, 1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ledger *l = begin();

		rule = cases[i].rule;
		say(l, EVENT_ALLOC, 0x1000, 100);
		say(l, EVENT_REALLOC_BEGIN, 0x1000, 113);
		say(l, EVENT_REALLOC, 0, cases[i].size);
		assert_int_equal(blocks_find(ledger_blocks(l), 0x1000) != NULL, cases[i].lives);
		assert_int_equal(ledger_totals(l)->live.bytes, cases[i].lives ? 100 : 0);
		assert_int_equal(ledger_totals(l)->freed.cnt, !cases[i].lives);
		assert_int_equal(ledger_totals(l)->failed, cases[i].failed);
		ledger_free(l);
	}
}

static void a_realloc_without_an_end_leaves_a_suspect(void **state)
{
	struct ledger *l = begin();

	(void)state;
	say(l, EVENT_ALLOC, 0x1000, 100);
	say(l, EVENT_REALLOC_BEGIN, 0x1000, 113);
	say(l, EVENT_ALLOC, 0x2000, 8); /* of the same thread: the realloc is over, nobody knows how */
	assert_count(ledger_totals(l)->live, 2, 108);
	assert_true(blocks_find(ledger_blocks(l), 0x1000)->suspect);
	ledger_free(l);
}

static void a_block_at_a_tracked_address_proves_a_death(void **state)
{
	struct ledger *l = begin();

	(void)state;
	say(l, EVENT_ALLOC, 0x1000, 100);
	stack = 200;
	say(l, EVENT_ALLOC, 0x1000, 30);
	assert_count(ledger_totals(l)->ghosts, 1, 100);
	assert_count(ledger_totals(l)->live, 1, 30);
	assert_count(ledger_totals(l)->freed, 0, 0);
	assert_count(site(l, 100)->live, 0, 0);
	assert_int_equal(ledger_totals(l)->live_rounded, 32);
	ledger_free(l);
}

static void a_walk_buries(void **state)
{
	struct ledger *l = begin();

	(void)state;
	say(l, EVENT_ALLOC, 0x1000, 100);
	assert_true(ledger_bury(l, 0x1000));
	assert_false(ledger_bury(l, 0x1000));
	assert_count(ledger_totals(l)->ghosts, 1, 100);
	assert_count(ledger_totals(l)->live, 0, 0);
	ledger_free(l);
}

static void temporary_is_freed_by_the_same_threads_next_event(void **state)
{
	struct ledger *l = begin();

	(void)state;
	say(l, EVENT_ALLOC, 0x1000, 10);
	tid = 2;
	say(l, EVENT_ALLOC, 0x2000, 20); /* another thread's events do not come between */
	tid = 1;
	say(l, EVENT_FREE, 0x1000, 0);
	assert_count(ledger_totals(l)->temporary, 1, 10);
	tid = 2;
	say(l, EVENT_ALLOC, 0x3000, 30);
	say(l, EVENT_FREE, 0x2000, 0);
	say(l, EVENT_FREE, 0x3000, 0);
	assert_count(ledger_totals(l)->temporary, 1, 10);
	assert_count(site(l, 100)->temporary, 1, 10);
	ledger_free(l);
}

static void the_peak_knows_each_sites_share(void **state)
{
	struct ledger *l = begin();
	struct site_count peak;

	(void)state;
	say(l, EVENT_ALLOC, 0x1000, 100);
	stack = 200;
	now = 5 * NSEC_PER_SEC;
	say(l, EVENT_ALLOC, 0x2000, 1000); /* the peak: 1100 */
	say(l, EVENT_FREE, 0x2000, 0);
	now = 6 * NSEC_PER_SEC;
	stack = 100;
	say(l, EVENT_ALLOC, 0x3000, 500);
	assert_count(ledger_totals(l)->peak, 2, 1100);
	assert_int_equal(ledger_totals(l)->peak_ns, 5 * NSEC_PER_SEC);
	peak = ledger_at_peak(l, sites_get(ledger_sites(l), 100));
	assert_count(peak, 1, 100);
	peak = ledger_at_peak(l, sites_get(ledger_sites(l), 200));
	assert_count(peak, 1, 1000);
	say(l, EVENT_ALLOC, 0x4000, 5000); /* a new one */
	peak = ledger_at_peak(l, sites_get(ledger_sites(l), 100));
	assert_count(peak, 3, 5600);
	peak = ledger_at_peak(l, sites_get(ledger_sites(l), 200));
	assert_count(peak, 0, 0);
	ledger_free(l);
}

static void sizes_outside_are_not_booked(void **state)
{
	struct ledger *l = ledger_new(&(struct ledger_options){
		.max_memory = GIB, .size_min = 64, .size_max = 128, .began_ns = BEGAN});

	(void)state;
	say(l, EVENT_ALLOC, 0x1000, 63);
	say(l, EVENT_ALLOC, 0x2000, 64);
	say(l, EVENT_ALLOC, 0x3000, 128);
	say(l, EVENT_ALLOC, 0x4000, 129);
	assert_count(ledger_totals(l)->live, 2, 192);
	say(l, EVENT_REALLOC_BEGIN, 0x2000, 0);
	say(l, EVENT_REALLOC, 0x2000, 4096);
	assert_count(ledger_totals(l)->live, 1, 128);
	assert_count(ledger_totals(l)->freed, 1, 64);
	ledger_free(l);
}

static void beyond_the_limit_blocks_are_counted_only(void **state)
{
	struct ledger *l = ledger_new(&(struct ledger_options){.max_memory = 1, .size_max = UINT64_MAX});

	(void)state;
	for (uint64_t i = 1; i <= 100000; i++)
		say(l, EVENT_ALLOC, i * 16, 10);
	assert_count(ledger_totals(l)->allocated, 100000, 1000000);
	assert_true(ledger_totals(l)->untracked.cnt > 90000);
	assert_int_equal(ledger_totals(l)->untracked.cnt + ledger_totals(l)->live.cnt, 100000);
	ledger_free(l);
}

static void an_exec_begins_anew(void **state)
{
	struct ledger *l = begin();

	(void)state;
	say(l, EVENT_ALLOC, 0x1000, 100);
	say(l, EVENT_REALLOC_BEGIN, 0x1000, 0);
	ledger_exec(l);
	assert_count(ledger_totals(l)->live, 0, 0);
	assert_count(site(l, 100)->live, 0, 0);
	assert_int_equal(ledger_totals(l)->live_rounded, 0);
	say(l, EVENT_ALLOC, 0x1000, 30);
	assert_count(ledger_totals(l)->live, 1, 30);
	assert_count(ledger_totals(l)->ghosts, 0, 0);
	assert_count(ledger_totals(l)->peak, 1, 100);
	ledger_free(l);
}

static void rounding_is_unknown_where_an_allocator_does_not_tell(void **state)
{
	struct ledger *l = begin();

	(void)state;
	from = &opaque;
	say(l, EVENT_ALLOC, 0x1000, 100);
	from = &glibc;
	say(l, EVENT_ALLOC, 0x2000, 100);
	assert_true(ledger_totals(l)->live_rounded == UINT64_MAX);
	ledger_free(l);
}

/* Many threads that come and go: what is remembered of them stays bounded, what is under way is kept. */
static void threads_are_forgotten(void **state)
{
	struct ledger *l = begin();

	(void)state;
	say(l, EVENT_ALLOC, 0x1000, 100);
	say(l, EVENT_REALLOC_BEGIN, 0x1000, 0);
	for (tid = 2; tid < 50000; tid++)
		say(l, EVENT_ALLOC, 0x100000 + tid * 16, 1);
	tid = 1;
	say(l, EVENT_REALLOC, 0x2000, 5);
	assert_int_equal(ledger_totals(l)->freed.bytes, 100);
	ledger_free(l);
}

/* Sites and totals agree whatever happens. */
static void sums_agree_over_noise(void **state)
{
	struct ledger *l = begin();
	struct site_count live = {0, 0}, done = {0, 0};

	(void)state;
	srand(3);
	for (unsigned i = 0; i < 300000; i++) {
		uint64_t addr = (uint64_t)(rand() % 2000 + 1) * 16, size = (uint64_t)rand() % 500;
		static const uint32_t kinds[] = {EVENT_ALLOC, EVENT_ALLOC, EVENT_FREE, EVENT_REALLOC_BEGIN,
						 EVENT_REALLOC};

		tid = (uint32_t)rand() % 5;
		stack = (uint64_t)rand() % 7;
		rule = (enum realloc_null)(rand() % 3);
		say(l, kinds[rand() % 5], rand() % 9 ? addr : 0, size);
	}
	for (uint32_t i = 0; i < sites_cnt(ledger_sites(l)); i++) {
		const struct site *s = sites_at(ledger_sites(l), i);

		live.cnt += s->live.cnt;
		live.bytes += s->live.bytes;
		done.cnt += s->freed_here.cnt;
		done.bytes += s->freed_here.bytes;
	}
	assert_count(ledger_totals(l)->live, live.cnt, live.bytes);
	assert_count(ledger_totals(l)->freed, done.cnt, done.bytes);
	ledger_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(an_allocation_lives_until_it_is_freed, reset),
		cmocka_unit_test_setup(a_block_from_before_counts_by_its_header, reset),
		cmocka_unit_test_setup(a_failed_call_changes_nothing, reset),
		cmocka_unit_test_setup(a_realloc_is_a_free_and_an_allocation, reset),
		cmocka_unit_test_setup(a_realloc_of_a_block_from_before, reset),
		cmocka_unit_test_setup(a_failed_realloc_goes_by_the_rule, reset),
		cmocka_unit_test_setup(a_realloc_without_an_end_leaves_a_suspect, reset),
		cmocka_unit_test_setup(a_block_at_a_tracked_address_proves_a_death, reset),
		cmocka_unit_test_setup(a_walk_buries, reset),
		cmocka_unit_test_setup(temporary_is_freed_by_the_same_threads_next_event, reset),
		cmocka_unit_test_setup(the_peak_knows_each_sites_share, reset),
		cmocka_unit_test_setup(sizes_outside_are_not_booked, reset),
		cmocka_unit_test_setup(beyond_the_limit_blocks_are_counted_only, reset),
		cmocka_unit_test_setup(an_exec_begins_anew, reset),
		cmocka_unit_test_setup(what_the_allocator_frees_anew_is_freed_once, reset),
		cmocka_unit_test_setup(a_sampled_free_stands_for_others, reset),
		cmocka_unit_test_setup(rounding_is_unknown_where_an_allocator_does_not_tell, reset),
		cmocka_unit_test_setup(threads_are_forgotten, reset),
		cmocka_unit_test_setup(sums_agree_over_noise, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
