/* Stacks by id, of this very process: its own functions are the frames. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "stack/stacks.h"

/* Different, so that no linker folds them. */
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

static struct frames *frames;
static struct stacks *stacks;

static int start(void **state)
{
	(void)state;
	frames = frames_new(getpid());
	stacks = frames ? stacks_new(frames) : NULL;
	return stacks ? 0 : -1;
}

static int stop(void **state)
{
	(void)state;
	stacks_free(stacks);
	frames_free(frames);
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
	assert_int_equal(stacks_add(stacks, &ev), 0);
	found = find(7);
	assert_non_null(found);
	assert_int_equal(found->cnt, 2);
	assert_false(found->truncated);
	assert_string_equal(found->frames[0], "stacks_test_outer (stacks_test)");
	assert_string_equal(found->frames[1], "stacks_test_inner (stacks_test)");
	assert_null(find(8));
}

/* Two stacks of one hash: events name the one that came last. */
static void the_last_of_an_id_holds(void **state)
{
	struct event_stack ev = two_frames(7);
	const struct stack *first;

	(void)state;
	assert_int_equal(stacks_add(stacks, &ev), 0);
	first = find(7);
	ev.end = STACK_END_NO_ROW;
	ev.cnt = 1;
	assert_int_equal(stacks_add(stacks, &ev), 0);
	assert_int_equal(stacks_cnt(stacks), 2);
	assert_true(find(7)->truncated);
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

/* Frame pointers that lead astray: the same code, and each time other addresses behind. */
static void what_is_no_code_ends_a_stack(void **state)
{
	struct event_stack ev = two_frames(1);

	(void)state;
	for (ev.id = 1; ev.id <= 100; ev.id++) {
		ev.cnt = 4;
		ev.frames[2] = (uintptr_t)&ev + ev.id; /* on the stack */
		ev.frames[3] = in(stacks_test_outer, 0);
		assert_int_equal(stacks_add(stacks, &ev), 0);
	}
	assert_int_equal(stacks_cnt(stacks), 1);
	assert_int_equal(find(1)->cnt, 2);
	assert_true(find(1)->truncated);
	assert_ptr_equal(find(1), find(100));
}

static void names_outlive_the_mappings(void **state)
{
	struct event_stack ev = two_frames(1);
	const char *before;

	(void)state;
	stacks_add(stacks, &ev);
	before = find(1)->frames[0];
	frames_stale(frames);
	assert_string_equal(before, "stacks_test_outer (stacks_test)");
	ev.id = 2;
	stacks_add(stacks, &ev);
	assert_ptr_equal(find(2)->frames[0], before);
}

static void a_name_is_kept_once(void **state)
{
	(void)state;
	assert_ptr_equal(frames_name(frames, in(stacks_test_outer, 0)),
			 frames_name(frames, in(stacks_test_outer, 2)));
	assert_ptr_not_equal(frames_name(frames, in(stacks_test_outer, 0)),
			     frames_name(frames, in(stacks_test_inner, 0)));
}

/* More addresses than are remembered: names of the first ones are still there. */
static void any_number_of_addresses(void **state)
{
	const char *first = frames_name(frames, in(stacks_test_outer, 0));

	(void)state;
	for (uint64_t addr = 1; addr < 1100000; addr++)
		assert_string_equal(frames_name(frames, addr), "[unknown]");
	assert_string_equal(first, "stacks_test_outer (stacks_test)");
	assert_ptr_equal(frames_name(frames, in(stacks_test_outer, 0)), first);
}

static void the_number_of_stacks_is_bounded(void **state)
{
	struct event_stack ev = {.cnt = 1, .frames = {1}};
	int rc = 0;

	(void)state;
	while (!rc && ev.id < 2u << 20) {
		ev.id++;
		rc = stacks_add(stacks, &ev);
	}
	assert_int_equal(rc, -ENOSPC);
	assert_int_equal(ev.id - 1, 1u << 20);
	ev.id = 1;
	assert_int_equal(stacks_add(stacks, &ev), 0); /* known already */
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(outermost_first),
		TEST(the_last_of_an_id_holds),
		TEST(no_stack_is_none),
		TEST(what_is_no_code_ends_a_stack),
		TEST(names_outlive_the_mappings),
		TEST(a_name_is_kept_once),
		TEST(any_number_of_addresses),
		TEST(the_number_of_stacks_is_bounded),
	};

	stacks_free(NULL);
	return cmocka_run_group_tests_name("stacks", tests, NULL, NULL);
}
