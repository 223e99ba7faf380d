/* Which places on the stacks of allocations are worth being milestones, by made-up stacks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "probe/milestone_choice.h"

#define MAIN 0x1000 /* called once, as far as anybody knows */
#define LOOP 0x2000
#define SITE(n) (0x10000ULL + 16 * (n))
#define SITES 100

static void note(struct milestone_choice *c, uint64_t id, uint64_t innermost, unsigned times)
{
	static struct event_stack stack;

	stack = (struct event_stack){.id = id, .cnt = 3, .frames = {innermost, LOOP, MAIN}};
	milestone_choice_note_stack(c, &stack);
	while (times--)
		milestone_choice_note_alloc(c, id);
}

/* Site n has n of 5050 allocations. */
static void note_sites(struct milestone_choice *c)
{
	for (unsigned n = 1; n <= SITES; n++)
		note(c, n, SITE(n), n);
}

static void test_what_is_passed_as_often_as_wanted_comes_first(void **state)
{
	struct milestone_choice c = {.seen = 0};
	struct milestone_place place;

	(void)state;
	note_sites(&c);
	/* Of 505,000 a second site n has 100 n. */
	assert_true(milestone_choice_next(&c, 505000, 6000, &place));
	assert_int_equal(place.addr, SITE(60));
	assert_true(place.share > 60 / 5051.0 && place.share < 60 / 5049.0);
	assert_true(milestone_choice_next(&c, 505000, 6000, &place));
	assert_int_equal(place.addr, SITE(61)); /* nothing twice */
	milestone_choice_again(&c);
	milestone_choice_avoid(&c, SITE(60));
	assert_true(milestone_choice_next(&c, 505000, 6000, &place));
	assert_int_equal(place.addr, SITE(61));
	milestone_choice_free(&c);
}

static void test_where_all_sites_are_hot_outer_calls_are_tried(void **state)
{
	struct milestone_choice c = {.seen = 0};
	struct milestone_place place;

	(void)state;
	note_sites(&c);
	assert_true(milestone_choice_next(&c, 505e9, 6000, &place));
	assert_int_equal(place.addr, MAIN);
	assert_true(place.share == 0); /* nobody knows how often it is passed */
	assert_true(milestone_choice_next(&c, 505e9, 6000, &place));
	assert_int_equal(place.addr, LOOP);
	assert_false(milestone_choice_next(&c, 505e9, 6000, &place));
	milestone_choice_free(&c);
}

static void test_one_site_alone_has_no_known_share_that_would_do(void **state)
{
	struct milestone_choice c = {.seen = 0};
	struct milestone_place place;
	static struct event_stack alone = {.id = 7, .cnt = 1, .frames = {SITE(1)}};

	(void)state;
	milestone_choice_note_stack(&c, &alone);
	for (int i = 0; i < 1000; i++)
		milestone_choice_note_alloc(&c, 7);
	assert_false(milestone_choice_next(&c, 50e6, 6000, &place));
	milestone_choice_free(&c);
}

static void test_a_few_allocations_say_nothing(void **state)
{
	struct milestone_choice c = {.seen = 0};
	struct milestone_place place;

	(void)state;
	note(&c, 1, SITE(1), 20);
	assert_false(milestone_choice_next(&c, 1e6, 6000, &place));
	/* Of stacks that it does not know it knows that they are not its own. */
	for (int i = 0; i < 1980; i++)
		milestone_choice_note_alloc(&c, 99);
	assert_true(milestone_choice_next(&c, 1e6, 6000, &place));
	assert_int_equal(place.addr, SITE(1));
	assert_true(place.share > 0.0099 && place.share < 0.0101);
	milestone_choice_free(&c);
}

/* A frame that is on a stack twice is passed twice, but its share is not above 1. */
static void test_recursion_counts_once(void **state)
{
	static struct event_stack deep = {.id = 3, .cnt = 4, .frames = {SITE(1), LOOP, LOOP, LOOP}};
	struct milestone_choice c = {.seen = 0};
	struct milestone_place place;

	(void)state;
	milestone_choice_note_stack(&c, &deep);
	for (int i = 0; i < 1000; i++)
		milestone_choice_note_alloc(&c, 3);
	assert_true(milestone_choice_next(&c, 4000, 6000, &place));
	assert_int_equal(place.addr, SITE(1));
	assert_true(milestone_choice_next(&c, 4000, 6000, &place));
	assert_int_equal(place.addr, LOOP);
	assert_false(milestone_choice_next(&c, 4000, 6000, &place));
	milestone_choice_free(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_passed_as_often_as_wanted_comes_first),
		cmocka_unit_test(test_where_all_sites_are_hot_outer_calls_are_tried),
		cmocka_unit_test(test_one_site_alone_has_no_known_share_that_would_do),
		cmocka_unit_test(test_a_few_allocations_say_nothing),
		cmocka_unit_test(test_recursion_counts_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
