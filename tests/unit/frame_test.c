/* Frames as text, and names as their programmers wrote them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "stack/demangle.h"
#include "stack/frame.h"

static void check(const struct frame_name *name, const struct frame_form *form, const char *expected)
{
	char buf[FRAME_TEXT_MAX];

	assert_string_equal(frame_text(buf, sizeof(buf), name, form), expected);
}

static void the_form_says_what_is_written(void **state)
{
	const struct frame_name row = {FRAME_NATIVE, false, 12, "make_row", "app", "/src/db/rows.c", 0x1234};

	(void)state;
	check(&row, &frame_whole, "app:make_row (rows.c:12)");
	check(&row, &(struct frame_form){.module = true}, "app:make_row");
	check(&row, &(struct frame_form){.line = true}, "make_row (rows.c:12)");
	check(&row, &(struct frame_form){.function_max = 6}, "make_…");
}

static void what_is_not_known_is_left_out(void **state)
{
	(void)state;
	check(&(struct frame_name){.kind = FRAME_NATIVE, .module = "lib.so", .offset = 0x12}, &frame_whole,
	      "lib.so+0x12");
	check(
		&(struct frame_name){
			.kind = FRAME_NATIVE, .module = "lib.so", .offset = 0x12, .file = "a.c", .line = 3},
		&(struct frame_form){.line = true}, "lib.so+0x12 (a.c:3)");
	check(&(struct frame_name){.module = "_json.cpython-311-x86_64-linux-gnu.so", .offset = 0x12},
	      &(struct frame_form){.no_tag = true}, "_json+0x12");
	check(&(struct frame_name){.kind = FRAME_NATIVE, .module = "m", .function = "f", .file = "a.c"},
	      &frame_whole, "m:f (a.c)");
	check(&(struct frame_name){.function = "[unknown]"}, &frame_whole, "[unknown]");
	check(&(struct frame_name){.kind = FRAME_PYTHON,
				   .function = "Handler.get",
				   .file = "/srv/app/views.py",
				   .line = 88},
	      &frame_whole, "Handler.get (views.py:88)");
}

static void a_small_buffer_is_not_overrun(void **state)
{
	const struct frame_name row = {FRAME_NATIVE, false, 12, "make_row", "app", "/src/db/rows.c", 0};
	char buf[32];

	(void)state;
	for (size_t size = 1; size < sizeof(buf); size++) {
		memset(buf, '#', sizeof(buf));
		frame_text(buf, size, &row, &frame_whole);
		assert_non_null(memchr(buf, '\0', size));
		assert_int_equal(buf[size], '#');
	}
}

static void an_order_by_all_that_is_shown(void **state)
{
	struct frame_name a = {FRAME_NATIVE, false, 12, "f", "app", "a.c", 1}, b = a;

	(void)state;
	b.offset = 2; /* not shown */
	assert_int_equal(frame_compare(&a, &b), 0);
	b.line = 13;
	assert_true(frame_compare(&a, &b) < 0 && frame_compare(&b, &a) > 0);
	a.function = b.function = NULL;
	a.line = b.line;
	assert_true(frame_compare(&a, &b) < 0);
	b.module = NULL;
	assert_true(frame_compare(&b, &a) < 0 && frame_compare(&a, &b) > 0);
}

static void demangled(const char *symbol, const char *expected)
{
	char buf[64];

	assert_string_equal(demangle(buf, sizeof(buf), symbol), expected);
}

static void names_of_cpp_and_rust(void **state)
{
	(void)state;
	demangled("malloc", "malloc");
	demangled("memcpy@@GLIBC_2.14", "memcpy");
	demangled("_Znwm", "operator new");
	demangled("_ZN5store4PoolIiE4fillEm", "store::Pool<int>::fill");
	demangled("_ZN5store4PoolIiE4fillEm.cold", "store::Pool<int>::fill");
	demangled("_ZN4core3fmt5write17h0123456789abcdefE", "core::fmt::write");
	demangled("_RNvNtCs1234_7mycrate3foo3bar", "mycrate::foo::bar");
	demangled("_Znonsense", "_Znonsense");
	demangled("_Rnonsense", "_Rnonsense");
}

/* Each S_ stands for all before it: the whole would be larger than any memory. */
static void a_name_that_explodes_is_cut(void **state)
{
	char symbol[4096] = "_Z1fI", buf[40];
	size_t len = strlen(symbol);

	(void)state;
	strcpy(symbol + len, "St4pairIiiE");
	for (int i = 0; i < 30; i++) {
		char next[16];

		snprintf(next, sizeof(next), "St4pairIS%c_S%c_E",
			 i ? "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[i - 1] : '\0',
			 i ? "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[i - 1] : '\0');
		strcat(symbol, i ? next : "St4pairIS_S_E");
	}
	strcat(symbol, "Evv");
	demangle(buf, sizeof(buf), symbol);
	assert_true(strlen(buf) < sizeof(buf));
	memset(symbol, 'n', sizeof(symbol) - 1);
	symbol[sizeof(symbol) - 1] = '\0';
	memcpy(symbol, "_ZN", 3);
	demangle(buf, sizeof(buf), symbol);
	assert_string_equal(buf + strlen(buf) - strlen("…"), "…");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_form_says_what_is_written),
		cmocka_unit_test(what_is_not_known_is_left_out),
		cmocka_unit_test(a_small_buffer_is_not_overrun),
		cmocka_unit_test(an_order_by_all_that_is_shown),
		cmocka_unit_test(names_of_cpp_and_rust),
		cmocka_unit_test(a_name_that_explodes_is_cut),
	};

	return cmocka_run_group_tests_name("frame", tests, NULL, NULL);
}
