/* Stacks by id, of this very process: its own functions are the frames. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/units.h"
#include "stack/stacks.h"

/* Different, so that no linker folds them. */
enum { OUTER_LINE = __LINE__ + 9 }; /* where stacks_test_outer begins */
int stacks_test_inner(int x);
int stacks_test_outer(int x);

__attribute__((noinline)) int stacks_test_inner(int x)
{
	return x * 3 + 1;
}

__attribute__((noinline)) int stacks_test_outer(int x)
{
	return stacks_test_inner(x) * 5 + 2;
}

static struct locations *locations;
static struct addresses *addresses;
static struct names *names;
static struct stacks *stacks;

static int start(void **state)
{
	(void)state;
	locations = locations_new();
	addresses = locations ? addresses_new(locations, getpid()) : NULL;
	stacks = addresses ? stacks_new(addresses, false) : NULL;
	names = locations ? names_new(locations, &(struct log){.out = stderr}) : NULL;
	return stacks && names ? 0 : -1;
}

static int stop(void **state)
{
	(void)state;
	stacks_free(stacks);
	addresses_free(addresses);
	assert_true(names_free(names));
	locations_free(locations);
	return 0;
}

/* As a return address: somewhere behind the first instruction. */
static uint64_t in(int (*function)(int), unsigned byte)
{
	return (uint64_t)(uintptr_t)function + 1 + byte;
}

static struct event_stack two_frames(uint64_t id)
{
	return (struct event_stack){
		.id = id, .cnt = 2, .end = STACK_END_OUTERMOST, .frames = {in(stacks_test_inner, 0), in(stacks_test_outer, 0)}};
}

/* The frame at a location, written as outputs write it but for the line. */
static const char *text_of(struct location *at)
{
	static char text[FRAME_TEXT_MAX];
	const struct frame_list *list;

	names_begin(names, 10 * NSEC_PER_SEC);
	names_want(names, at);
	names_wait(names);
	list = names_of(at);
	frame_text(text, sizeof(text), &list->v[list->cnt - 1], &(struct frame_form){.module = true});
	names_end(names);
	return text;
}

/* As whoever has an event's id finds it. */
static const struct stack *find(uint64_t id)
{
	return stacks_find(stacks, stacks_own_id(stacks, id));
}

static void outermost_first(void **state)
{
	const struct event_stack ev = two_frames(7);
	const struct stack *found;

	(void)state;
	assert_null(find(7));
	assert_int_equal(stacks_add(stacks, &ev, NULL), 0);
	found = find(7);
	assert_non_null(found);
	assert_int_equal(found->cnt, 2);
	assert_int_equal(found->cut, STACK_WHOLE);
	assert_string_equal(text_of(found->locations[0]), "stacks_test:stacks_test_outer");
	assert_string_equal(text_of(found->locations[1]), "stacks_test:stacks_test_inner");
	assert_null(find(8));
}

/* Two stacks of one hash: events name the one that came last. */
static void the_last_of_an_id_holds(void **state)
{
	struct event_stack ev = two_frames(7);
	const struct stack *first;

	(void)state;
	assert_int_equal(stacks_add(stacks, &ev, NULL), 0);
	first = find(7);
	ev.end = STACK_END_NO_ROW;
	ev.cnt = 1;
	assert_int_equal(stacks_add(stacks, &ev, NULL), 0);
	assert_int_equal(stacks_counts(stacks).known, 2);
	assert_true(find(7)->cut);
	assert_int_equal(find(7)->cnt, 1);
	assert_ptr_equal(stacks_find(stacks, first->id), first);
}

/* Id 0 means "no stack" to everyone else. */
static void no_stack_is_none(void **state)
{
	(void)state;
	assert_int_equal(stacks_own_id(stacks, 0), 0);
	assert_null(find(0));
}

/* The line is that of the call, which is before the address that it returns to. */
static void names_have_lines(void **state)
{
	const struct frame_list *list;
	struct location *at;

	(void)state;
	at = addresses_get(addresses, in(stacks_test_outer, 0));
	text_of(at);
	list = names_of(at);
	assert_int_equal(list->cnt, 1);
	assert_string_equal(list->v[0].file + strlen(list->v[0].file) - 13, "stacks_test.c");
	assert_in_range(list->v[0].line, OUTER_LINE,
			OUTER_LINE + 2); /* its few instructions are all at its start */
	assert_false(list->v[0].inlined);
}

static void locations_outlive_the_mappings(void **state)
{
	struct event_stack ev = two_frames(1);
	struct location *before;

	(void)state;
	stacks_add(stacks, &ev, NULL);
	before = find(1)->locations[0];
	addresses_stale(addresses);
	ev.id = 2;
	stacks_add(stacks, &ev, NULL);
	assert_ptr_equal(find(2)->locations[0], before);
	assert_string_equal(text_of(before), "stacks_test:stacks_test_outer");
}

/* More addresses than are remembered: the first ones are still what they were. */
static void any_number_of_addresses(void **state)
{
	struct location *first = addresses_get(addresses, in(stacks_test_outer, 0));

	(void)state;
	for (uint64_t addr = 1; addr < 1100000; addr++)
		assert_ptr_equal(addresses_get(addresses, addr), addresses_get(addresses, 1));
	assert_string_equal(text_of(addresses_get(addresses, 1)), "[unknown]");
	assert_ptr_equal(addresses_get(addresses, in(stacks_test_outer, 0)), first);
}

static void a_walk_sees_what_was_inlined(void **state)
{
	static struct frame_list two = {2, {{.function = "a"}, {.function = "b", .inlined = true}}};
	static struct frame_list one = {1, {{.function = "c"}}};
	struct location first = {.frames = &two}, second = {.frames = &one};
	struct stack *stack = calloc(1, sizeof(*stack) + 2 * sizeof(stack->locations[0]));
	struct stack_walk in_ = {.stack = stack}, out = {.stack = stack};

	(void)state;
	assert_non_null(stack);
	stack->cnt = 2;
	stack->locations[0] = &first;
	stack->locations[1] = &second;
	for (const char *c = "abc"; *c; c++)
		assert_int_equal(stack_next(&in_)->function[0], *c);
	for (const char *c = "cba"; *c; c++)
		assert_int_equal(stack_next_out(&out)->function[0], *c);
	assert_null(stack_next(&in_));
	assert_null(stack_next_out(&out));
	free(stack);
}

static void the_number_of_stacks_is_bounded(void **state)
{
	struct event_stack ev = {.cnt = 1, .frames = {1}};
	int rc = 0;

	(void)state;
	while (!rc && ev.id < 2u << 20) {
		ev.id++;
		rc = stacks_add(stacks, &ev, NULL);
	}
	assert_int_equal(rc, -ENOSPC);
	assert_int_equal(ev.id - 1, 1u << 20);
	ev.id = 1;
	assert_int_equal(stacks_add(stacks, &ev, NULL), 0); /* known already */
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(outermost_first),
		TEST(the_last_of_an_id_holds),
		TEST(no_stack_is_none),
		TEST(names_have_lines),
		TEST(locations_outlive_the_mappings),
		TEST(a_walk_sees_what_was_inlined),
		TEST(any_number_of_addresses),
		TEST(the_number_of_stacks_is_bounded),
	};

	stacks_free(NULL);
	return cmocka_run_group_tests_name("stacks", tests, NULL, NULL);
}
