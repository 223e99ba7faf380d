#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>

#include "base/units.h"
#include "heap/survey.h"

#define HEAP 0x555500000000ULL
#define BEGAN NSEC_PER_SEC

static uint64_t rounded(uint64_t size)
{
	return size + 8 < 32 ? 32 : (size + 8 + 15) & ~15ULL;
}

static const struct allocator allocator = {.name = "glibc", .rounded = rounded};

struct scene {
	struct ledger *ledger;
	struct survey *survey;
	struct heap_walk walk;
	uint64_t now;
};

static struct scene begin(void)
{
	struct scene s = {
		.ledger = ledger_new(&(struct ledger_options){
			.max_memory = GIB, .size_max = UINT64_MAX, .began_ns = BEGAN}),
		.survey = survey_new(),
		.now = BEGAN,
	};

	return s;
}

static void end(struct scene *s)
{
	survey_free(s->survey);
	heap_walk_free(&s->walk);
	ledger_free(s->ledger);
}

static void alloc(struct scene *s, uint64_t stack, uint64_t addr, uint64_t size)
{
	const struct event_block block = {.head = {.kind = EVENT_ALLOC, .tid = 1, .time = s->now},
					  .addr = addr,
					  .size = size,
					  .stack = stack};
	const struct event ev = {.head = &block.head, .block = &block};

	ledger_event(s->ledger, &ev, stack, &allocator, REALLOC_KEEPS);
}

static void page(struct scene *s, unsigned number, uint16_t free, uint16_t holders, bool headers)
{
	heap_pages_add(&s->walk.pages, &(struct heap_page){.addr = HEAP + number * 4096ULL,
							   .pages = 1,
							   .free = free,
							   .holders = holders,
							   .headers = headers});
	for (unsigned i = 0; i < holders; i++) {
		s->walk.pinned_class[5].cnt++;
		s->walk.pinned_class[5].bytes += free / holders + (i ? 0 : free % holders);
	}
}

/* A walk that begins a second from now, over 100 pages, with blocks in use at these addresses. */
static void walk(struct scene *s, const uint64_t *in_use, size_t cnt)
{
	s->now += NSEC_PER_SEC;
	s->walk.started_ns = s->now;
	s->now += NSEC_PER_SEC;
	s->walk.pages.header = 16;
	heap_pages_begin_extent(&s->walk.pages, HEAP);
	for (size_t i = 0; i < cnt; i++)
		heap_pages_mark(&s->walk.pages, in_use[i], 32);
	heap_pages_cut(&s->walk.pages, HEAP + 100 * 4096);
	heap_pages_finish(&s->walk.pages);
}

static const struct survey_result *survey(struct scene *s, struct survey_options options)
{
	survey_begin(s->survey, s->ledger, &s->walk, s->now, &options);
	while (survey_step(s->survey, NSEC_PER_SEC))
		;
	assert_false(survey_is_busy(s->survey));
	return survey_result(s->survey);
}

static const struct site_survey *site(struct scene *s, const struct survey_result *r, uint64_t stack)
{
	return &r->sites[sites_get(ledger_sites(s->ledger), stack)];
}

static void a_page_is_shared_out_among_its_holders(void **state)
{
	struct scene s = begin();
	const struct survey_result *r;

	(void)state;
	alloc(&s, 7, HEAP + 16, 24);
	alloc(&s, 8, HEAP + 16 + 64, 24);
	alloc(&s, 7, HEAP + 4096 + 16, 24);
	page(&s, 0, 3000, 3, false); /* 7, 8 and one from before */
	page(&s, 1, 4000, 1, false);
	page(&s, 2, 100, 1, false); /* nobody's that is known */
	walk(&s, NULL, 0);
	r = survey(&s, (struct survey_options){.older_ns = 0});
	assert_int_equal(r->pinned, 7100);
	assert_int_equal(site(&s, r, 7)->pinned, 5000);
	assert_int_equal(site(&s, r, 8)->pinned, 1000);
	assert_int_equal(r->rest.pinned, 1100);
	assert_int_equal(r->rest_class[5].bytes, 1100);
	assert_int_equal(r->rest_class[5].cnt, 2);
	assert_int_equal(site(&s, r, 7)->alone, 4096);
	assert_int_equal(site(&s, r, 8)->alone, 0);
	end(&s);
}

static void alone_means_no_other_site_and_no_header(void **state)
{
	struct scene s = begin();
	const struct survey_result *r;

	(void)state;
	alloc(&s, 7, HEAP + 16, 24);
	alloc(&s, 7, HEAP + 16 + 64, 24);
	page(&s, 0, 3000, 2, false);
	alloc(&s, 7, HEAP + 4096 + 16, 24);
	page(&s, 1, 3000, 1, true);
	alloc(&s, 7, HEAP + 2 * 4096 + 16, 24);
	alloc(&s, 8, HEAP + 2 * 4096 + 96, 24);
	page(&s, 2, 3000, 2, false);
	walk(&s, NULL, 0);
	r = survey(&s, (struct survey_options){.older_ns = 0});
	assert_int_equal(site(&s, r, 7)->alone, 4096);
	end(&s);
}

static void a_block_over_two_pages_holds_both(void **state)
{
	struct scene s = begin();
	const struct survey_result *r;

	(void)state;
	alloc(&s, 7, HEAP + 4096 - 16, 1000);
	page(&s, 0, 4000, 1, false);
	page(&s, 1, 3000, 1, false);
	walk(&s, NULL, 0);
	r = survey(&s, (struct survey_options){.older_ns = 0});
	assert_int_equal(site(&s, r, 7)->pinned, 7000);
	assert_int_equal(site(&s, r, 7)->alone, 8192);
	end(&s);
}

static void what_is_younger_than_the_walk_holds_nothing(void **state)
{
	struct scene s = begin();
	const struct survey_result *r;

	(void)state;
	page(&s, 0, 4000, 1, false);
	walk(&s, NULL, 0);
	alloc(&s, 7, HEAP + 16, 24);
	r = survey(&s, (struct survey_options){.judge_ghosts = true});
	assert_int_equal(site(&s, r, 7)->pinned, 0);
	assert_int_equal(r->rest.pinned, 4000);
	assert_false(blocks_find(ledger_blocks(s.ledger), HEAP + 16)->suspect);
	end(&s);
}

/* Events tell the time by the tick, so that of a block as old as the walk only the walk itself knows. */
static void what_is_as_old_as_the_walk_holds_what_the_walk_saw_it_hold(void **state)
{
	static const uint64_t seen[] = {HEAP + 16};
	struct scene s = begin();
	const struct survey_result *r;

	(void)state;
	s.now += NSEC_PER_SEC;
	alloc(&s, 7, seen[0], 24);
	alloc(&s, 8, HEAP + 64, 24);
	s.now -= NSEC_PER_SEC;
	page(&s, 0, 4000, 2, false);
	walk(&s, seen, 1);
	r = survey(&s, (struct survey_options){.judge_ghosts = true});
	assert_int_equal(site(&s, r, 7)->pinned, 2000);
	assert_int_equal(site(&s, r, 8)->pinned, 0);
	assert_false(blocks_find(ledger_blocks(s.ledger), HEAP + 64)->suspect);
	end(&s);
}

static void old_blocks_are_told_by_their_age(void **state)
{
	struct scene s = begin();
	const struct survey_result *r;

	(void)state;
	alloc(&s, 7, HEAP + 16, 100);
	s.now += 10 * NSEC_PER_SEC;
	alloc(&s, 7, HEAP + 1600, 24);
	s.now += NSEC_PER_SEC;
	r = survey(&s, (struct survey_options){.older_ns = 5 * NSEC_PER_SEC});
	assert_int_equal(site(&s, r, 7)->old.cnt, 1);
	assert_int_equal(site(&s, r, 7)->old.bytes, 100);
	r = survey(&s, (struct survey_options){.older_ns = 0});
	assert_int_equal(site(&s, r, 7)->old.cnt, 2);
	end(&s);
}

static void a_ghost_is_buried_by_the_second_walk(void **state)
{
	static const uint64_t there[] = {HEAP + 4096};
	struct scene s = begin();
	const struct survey_result *r;

	(void)state;
	alloc(&s, 7, HEAP + 1600, 24);
	alloc(&s, 7, there[0], 24);
	walk(&s, there, 1);
	r = survey(&s, (struct survey_options){.judge_ghosts = true});
	assert_int_equal(r->ghosts, 0);
	walk(&s, there, 1);
	r = survey(&s, (struct survey_options){.judge_ghosts = true});
	assert_int_equal(r->ghosts, 1);
	assert_null(blocks_find(ledger_blocks(s.ledger), HEAP + 1600));
	assert_non_null(blocks_find(ledger_blocks(s.ledger), there[0]));
	assert_int_equal(ledger_totals(s.ledger)->ghosts.bytes, 24);
	end(&s);
}

static void a_walk_that_finds_it_again_clears_the_suspicion(void **state)
{
	static const uint64_t there[] = {HEAP + 1600};
	struct scene s = begin();

	(void)state;
	alloc(&s, 7, there[0], 24);
	for (int round = 0; round < 4; round++) {
		walk(&s, there, round % 2);
		survey(&s, (struct survey_options){.judge_ghosts = true});
	}
	assert_non_null(blocks_find(ledger_blocks(s.ledger), there[0]));
	end(&s);
}

static void a_walk_that_is_not_sure_proves_nothing(void **state)
{
	struct scene s = begin();

	(void)state;
	alloc(&s, 7, HEAP + 1600, 24);
	alloc(&s, 7, 0x7f0000001010, 1 << 20); /* in no extent, and the mmapped ones are not all known */
	for (int round = 0; round < 4; round++) {
		walk(&s, NULL, 0);
		heap_pages_doubt(&s.walk.pages);
		survey(&s, (struct survey_options){.judge_ghosts = true});
	}
	assert_int_equal(blocks_cnt(ledger_blocks(s.ledger)), 2);
	end(&s);
}

static void an_unmapped_block_is_dead(void **state)
{
	struct scene s = begin();

	(void)state;
	alloc(&s, 7, 0x7f0000001010, 1 << 20);
	alloc(&s, 7, 0x7f0000801010, 1 << 20);
	for (int round = 0; round < 2; round++) {
		heap_pages_add_mmapped(&s.walk.pages, 0x7f0000801010, 1 << 20);
		s.walk.pages.mmapped_sure = true;
		walk(&s, NULL, 0);
		survey(&s, (struct survey_options){.judge_ghosts = true});
	}
	assert_int_equal(blocks_cnt(ledger_blocks(s.ledger)), 1);
	assert_non_null(blocks_find(ledger_blocks(s.ledger), 0x7f0000801010));
	end(&s);
}

static void without_a_walk_there_are_ages_only(void **state)
{
	struct scene s = begin();
	const struct survey_result *r;

	(void)state;
	alloc(&s, 7, HEAP + 16, 24);
	survey_begin(s.survey, s.ledger, NULL, s.now, &(struct survey_options){.judge_ghosts = true});
	while (survey_step(s.survey, NSEC_PER_SEC))
		;
	r = survey_result(s.survey);
	assert_int_equal(r->pinned, 0);
	assert_int_equal(site(&s, r, 7)->old.cnt, 1);
	end(&s);
}

/* Slices: a budget of nothing still ends, and events may come in between. */
static void it_can_be_done_in_slices(void **state)
{
	struct scene s = begin();
	const struct survey_result *r;
	unsigned steps = 0;

	(void)state;
	for (uint64_t i = 0; i < 20000; i++)
		alloc(&s, 1 + i % 3, HEAP + 16 + 32 * i, 24);
	survey_begin(s.survey, s.ledger, NULL, s.now, &(struct survey_options){.older_ns = 0});
	while (survey_step(s.survey, 1)) {
		alloc(&s, 99, 0x7f0000000010 + 32 * ++steps, 24);
		assert_true(steps < 1000);
	}
	r = survey_result(s.survey);
	assert_true(steps > 5);
	for (uint64_t stack = 1; stack <= 3; stack++)
		assert_in_range(site(&s, r, stack)->old.cnt, 6666, 6667);
	end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_page_is_shared_out_among_its_holders),
		cmocka_unit_test(alone_means_no_other_site_and_no_header),
		cmocka_unit_test(a_block_over_two_pages_holds_both),
		cmocka_unit_test(what_is_younger_than_the_walk_holds_nothing),
		cmocka_unit_test(what_is_as_old_as_the_walk_holds_what_the_walk_saw_it_hold),
		cmocka_unit_test(old_blocks_are_told_by_their_age),
		cmocka_unit_test(a_ghost_is_buried_by_the_second_walk),
		cmocka_unit_test(a_walk_that_finds_it_again_clears_the_suspicion),
		cmocka_unit_test(a_walk_that_is_not_sure_proves_nothing),
		cmocka_unit_test(an_unmapped_block_is_dead),
		cmocka_unit_test(without_a_walk_there_are_ages_only),
		cmocka_unit_test(it_can_be_done_in_slices),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
