/* dlopen churn: what is charged to which row, and that neither rows nor handles grow without bound. */
#include "detect/churn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* The stack of that one-letter name; "": none. */
static const struct stack *stack_named(const char *name)
{
	static struct stack stacks[256];
	struct stack *stack = &stacks[(unsigned char)name[0]];

	stack->id = (unsigned char)name[0];
	return name[0] ? stack : NULL;
}

static struct churn_log *log_;
static const struct churn_finding *const *view;

static int make_log(void **state)
{
	(void)state;
	log_ = churn_log_new(20);
	return !log_;
}

static int free_log(void **state)
{
	(void)state;
	churn_log_free(log_);
	return 0;
}

static struct event_dlopen opened(uint64_t handle, bool mapped, const char *path, const char *name)
{
	struct event_dlopen ev = { .head.time = 100, .handle = handle, .duration = 10, .new_mapping = mapped,
				   .maps_grown = mapped ? 8192 : 0, .heap_grown = 3 };

	snprintf(ev.path, sizeof(ev.path), "%s", path);
	snprintf(ev.name, sizeof(ev.name), "%s", name);
	ev.path_len = (unsigned)strlen(path);
	return ev;
}

static void open_by(struct event_dlopen ev, const char *caller)
{
	assert_int_equal(churn_log_open(log_, &ev, stack_named(caller)), 0);
}

static void close_by(uint64_t handle, const char *name, const char *caller)
{
	struct event_dlclose ev = { .head.time = 200, .handle = handle, .duration = 5, .maps_grown = -4096 };

	snprintf(ev.name, sizeof(ev.name), "%s", name);
	assert_int_equal(churn_log_close(log_, &ev, stack_named(caller)), 0);
}

static const struct churn_finding *row(const char *library, const char *caller)
{
	size_t cnt = churn_log_view(log_, &view);

	for (size_t i = 0; i < cnt; i++)
		if (!strcmp(view[i]->library, library) && view[i]->stack == stack_named(caller))
			return view[i];
	fail_msg("no row for %s by %s", library, caller);
	return NULL;
}

static void counts_each_kind(void **state)
{
	const struct churn_finding *f;

	(void)state;
	open_by(opened(0x10, true, "libz.so", "/lib/libz.so.1"), "a");
	open_by(opened(0x10, false, "libz.so.1", "/lib/libz.so.1"), "a");
	open_by(opened(0x10, false, "libz.so.1", "/lib/libz.so.1"), "a");
	open_by(opened(0, false, "/lib/libz.so.1", ""), "a");
	close_by(0x10, "/lib/libz.so.1", "elsewhere");
	assert_int_equal(churn_log_view(log_, &view), 1);
	f = view[0];
	assert_string_equal(f->library, "/lib/libz.so.1");
	assert_ptr_equal(f->stack, stack_named("a"));
	assert_int_equal(f->opens, 4);
	assert_int_equal(f->closes, 1);
	assert_int_equal(f->new_mappings, 1);
	assert_int_equal(f->repeats, 2);
	assert_int_equal(f->failures, 1);
	assert_int_equal(f->ns, 45);
	assert_int_equal(f->maps_grown, 4096);
	assert_int_equal(f->heap_grown, 12);
	assert_int_equal(f->changed_ns, 205);
	assert_false(f->flagged);
}

static void libraries_and_callers_apart(void **state)
{
	(void)state;
	open_by(opened(0x10, true, "liba.so", "/liba.so"), "x");
	open_by(opened(0x10, false, "liba.so", "/liba.so"), "y");
	open_by(opened(0x20, true, "libb.so", "/libb.so"), "x");
	open_by(opened(0x20, false, "libb.so", "/libb.so"), "x");
	assert_int_equal(churn_log_view(log_, &view), 3);
	assert_int_equal(row("/libb.so", "x")->opens, 2);
	assert_int_equal(row("/liba.so", "y")->repeats, 1);
	assert_int_equal(row("/liba.so", "x")->new_mappings, 1);
	assert_string_equal(view[0]->library, "/libb.so"); /* most opens first, then by name */
	assert_ptr_equal(view[1]->stack, stack_named("x"));
	assert_ptr_equal(view[2]->stack, stack_named("y"));
}

static void names_without_a_loaded_object(void **state)
{
	(void)state;
	open_by(opened(0x1, false, "", ""), "c");
	open_by(opened(0, false, "libabsent.so", ""), "c");
	close_by(0x99, "", "c"); /* nobody knows it */
	assert_int_equal(row("(main program)", "c")->opens, 1);
	assert_int_equal(row("(main program)", "c")->closes, 1);
	assert_int_equal(row("libabsent.so", "c")->failures, 1);
}

static void a_close_goes_to_the_row_that_opened_last(void **state)
{
	(void)state;
	open_by(opened(0x10, true, "liba.so", "/liba.so"), "first");
	open_by(opened(0x10, false, "liba.so", "/liba.so"), "second");
	close_by(0x10, "/liba.so", "z");
	close_by(0x10, "/liba.so", "z");
	assert_int_equal(row("/liba.so", "second")->closes, 2);
	assert_int_equal(row("/liba.so", "first")->closes, 0);
	/* Both opens are closed: this one is of an open from before the attach. */
	close_by(0x10, "/liba.so", "z");
	assert_int_equal(row("/liba.so", "z")->closes, 1);
	assert_int_equal(row("/liba.so", "z")->opens, 0);
}

static void a_handle_is_used_again(void **state)
{
	(void)state;
	open_by(opened(0x10, true, "liba.so", "/liba.so"), "c");
	close_by(0x10, "/liba.so", "c");
	open_by(opened(0x10, true, "libb.so", "/libb.so"), "c");
	close_by(0x10, "/libb.so", "c");
	assert_int_equal(row("/liba.so", "c")->closes, 1);
	assert_int_equal(row("/libb.so", "c")->closes, 1);
}

static void flagged_from_the_minimum_of_repeats_and_failures(void **state)
{
	(void)state;
	for (int i = 0; i < 10; i++) {
		open_by(opened(0x10, false, "liba.so", "/liba.so"), "c");
		open_by(opened(0x10, true, "liba.so", "/liba.so"), "c");
	}
	for (int i = 0; i < 9; i++)
		open_by(opened(0, false, "/liba.so", ""), "c");
	assert_false(row("/liba.so", "c")->flagged); /* 29 opens, 19 of them to no purpose */
	open_by(opened(0, false, "/liba.so", ""), "c");
	assert_true(row("/liba.so", "c")->flagged);
}

static void fourteen_hundred_opens(void **state)
{
	(void)state;
	for (int i = 0; i < 1400; i++)
		open_by(opened(0x10, i == 0, "libc.so.6", "/lib/libc.so.6"), "ctypes");
	assert_int_equal(churn_log_view(log_, &view), 1);
	assert_int_equal(view[0]->opens, 1400);
	assert_int_equal(view[0]->repeats, 1399);
	assert_true(view[0]->flagged);
}

static void rows_are_bounded(void **state)
{
	const int more = 100;
	char name[32];
	size_t cnt;

	(void)state;
	for (int i = 0; i < CHURN_ROWS_MAX + more; i++) {
		snprintf(name, sizeof(name), "/lib%d.so", i);
		open_by(opened(0x1000 + (uint64_t)i, true, name, name), "c");
	}
	cnt = churn_log_view(log_, &view);
	assert_int_equal(cnt, CHURN_ROWS_MAX);
	assert_string_equal(view[0]->library, "(others)");
	assert_int_equal(view[0]->opens, more + 1);
	close_by(0x1000 + CHURN_ROWS_MAX + 5, "", "c");
	open_by(opened(0x1000, false, "/lib0.so", "/lib0.so"), "c"); /* a known row stays known */
	assert_int_equal(row("(others)", "")->closes, 1);
	assert_int_equal(row("/lib0.so", "c")->opens, 2);
}

static void open_handles_are_bounded(void **state)
{
	const uint64_t handles = 200000;

	(void)state;
	for (uint64_t i = 1; i <= handles; i++)
		open_by(opened(i << 4, false, "liba.so", "/liba.so"), "c");
	for (uint64_t i = 1; i <= handles; i++)
		close_by(i << 4, "/liba.so", "c");
	assert_int_equal(churn_log_view(log_, &view), 1);
	assert_int_equal(view[0]->opens, handles);
	assert_int_equal(view[0]->closes, handles);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_log, free_log)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(counts_each_kind),
		TEST(libraries_and_callers_apart),
		TEST(names_without_a_loaded_object),
		TEST(a_close_goes_to_the_row_that_opened_last),
		TEST(a_handle_is_used_again),
		TEST(flagged_from_the_minimum_of_repeats_and_failures),
		TEST(fourteen_hundred_opens),
		TEST(rows_are_bounded),
		TEST(open_handles_are_bounded),
	};

	churn_log_free(NULL);
	return cmocka_run_group_tests_name("churn", tests, NULL, NULL);
}
