/* Sites in one line, and figures as people read them. */
#include "report_fixture.h"

#include "base/printable.h"
#include "report/figure.h"
#include "report/site_text.h"

static void check(const char *const *names, bool truncated, const char *expected)
{
	const struct site_view view = {.stack = fixture_stack(0, truncated, names)};
	char buf[SITE_TEXT_MAX];

	assert_string_equal(site_text(buf, view.stack), expected);
}

#define STACK(...) ((const char *const[]){__VA_ARGS__, NULL})

static void innermost_first(void **state)
{
	(void)state;
	check(STACK("main (app)", "f (app)", "g (app)"), false, "g ← f ← main (app)");
	check(STACK("main (app)", "f (lib.so)", "g (lib.so)", "h (app)"), false,
	      "h (app) ← g ← f (lib.so) ← main (app)");
	check(STACK("main (app)"), true, "main (app) ← …");
}

static void five_frames_at_most(void **state)
{
	(void)state;
	check(STACK("a (x)", "b (x)", "c (x)", "d (x)", "e (x)"), false, "e ← d ← c ← b ← a (x)");
	check(STACK("_ (y)", "a (x)", "b (x)", "c (x)", "d (x)", "e (x)"), false,
	      "e ← d ← c ← b ← a (x) ← …");
}

static void frames_that_are_no_names(void **state)
{
	(void)state;
	check(STACK("[unknown]", "lib.so+0x12", ")"), false, ") ← lib.so+0x12 ← [unknown]");
	check(STACK("operator() (app)"), false, "operator() (app)");
	check(STACK("a\nb\033 (\xff)"), false, "a?b? (?)");
}

static struct location *at(const char *function, const char *module, const char *file, unsigned line)
{
	struct location *location = calloc(1, sizeof(*location));
	struct frame_list *list = calloc(1, sizeof(*list) + sizeof(list->v[0]));

	assert_true(location && list);
	list->cnt = 1;
	list->v[0] = (struct frame_name){
		.kind = FRAME_NATIVE, .function = function, .module = module, .file = file, .line = line};
	location->frames = list;
	return location;
}

/* Lines where there is room for two frames with them, else as many frames as fit without. */
static void lines_as_far_as_they_fit(void **state)
{
	struct stack *stack = calloc(1, sizeof(*stack) + 4 * sizeof(stack->locations[0]));
	const struct site_view view = {.stack = stack};
	char buf[SITE_TEXT_MAX];

	(void)state;
	assert_non_null(stack);
	stack->cnt = 3;
	stack->locations[0] = at("main", "app", "/src/main.c", 7);
	stack->locations[1] = at("work", "app", NULL, 0);
	stack->locations[2] = at("row", "app", "rows.c", 12);
	assert_string_equal(site_text(buf, view.stack), "row (rows.c:12) ← work (app) ← main (main.c:7)");
	stack->locations[1] = at("handler", NULL, "/srv/some_application/handlers.py", 1234);
	assert_string_equal(site_text(buf, view.stack),
			    "row (rows.c:12) ← handler (handlers.py:1234) ← main (main.c:7)");
	stack->locations[0] = at("a_function_with_a_long_name", "app", "/src/main.c", 7);
	assert_string_equal(site_text(buf, view.stack), "row (rows.c:12) ← handler (handlers.py:1234) ← …");
	stack->locations[1] = at("a_function_with_a_name_too_long_for_it", "app", "a_long_file.c", 123456);
	assert_string_equal(site_text(buf, view.stack), "row ← a_function_with_a_name_too_long_for_it (app) ← …");
}

/* Who reads a Python stack wants its lines: of the C frames below them the innermost stays. */
static void python_lines_come_before_c(void **state)
{
	struct stack *stack = calloc(1, sizeof(*stack) + 5 * sizeof(stack->locations[0]));
	char buf[SITE_TEXT_MAX];

	(void)state;
	assert_non_null(stack);
	stack->cnt = 5;
	stack->locations[0] = at("main", "libc.so.6", NULL, 0);
	stack->locations[1] = at("work", NULL, "/srv/app/load.py", 8);
	stack->locations[2] = at("parse", NULL, "/srv/app/load.py", 5);
	stack->locations[3] = at("call", "_json.cpython-311-x86_64-linux-gnu.so", NULL, 0);
	stack->locations[4] = at("scan", "_json.cpython-311-x86_64-linux-gnu.so", NULL, 0);
	stack->locations[1]->frames->v[0].kind = stack->locations[2]->frames->v[0].kind = FRAME_PYTHON;
	assert_string_equal(site_text(buf, stack), "scan (_json) ← … ← parse (load.py:5) ← work (load.py:8)");
	stack->locations[4] = at("a_function_with_a_name_that_needs_nearly_all_the_room", "lib.so", NULL, 0);
	assert_string_equal(site_text(buf, stack),
			    "a_function_with_a_name_that_needs_nearly_all_the_room (lib.so) ← … ← parse (load.py:5) ← …");
}

static void no_stack(void **state)
{
	char buf[SITE_TEXT_MAX];

	(void)state;
	assert_string_equal(site_text(buf, NULL), "[no stack]");
	assert_string_equal(site_text(buf, &(struct stack){.id = 1}), "[no stack]");
	check((const char *const[]){NULL}, true, "[no stack]");
}

/* Names as long as C++ makes them: the innermost frame stays, and the line stays a line. */
static void long_names_are_cut(void **state)
{
	char name[400], object[400], buf[SITE_TEXT_MAX];
	struct site_view view = {.stack = NULL};

	(void)state;
	memset(name, 'n', sizeof(name));
	strcpy(name + sizeof(name) - 7, " (app)");
	memset(object, 'o', sizeof(object));
	memcpy(object, "f (", 3);
	strcpy(object + sizeof(object) - 2, ")");
	view.stack = fixture_stack(0, false, STACK(object, name, "g (app)", name, "f (app)"));
	site_text(buf, view.stack);
	assert_string_equal(buf, "f (app) ← …");
	check(STACK("m (app)", name), false,
	      "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn… ← m (app)");
	check(STACK("main (library.so)", name), false,
	      "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn… (app) ← …");
	site_text(buf, fixture_stack(0, false, STACK(object, object, name)));
	assert_true(printable_width(buf) < 100);
}

static void counts_have_commas(void **state)
{
	char buf[UNITS_TEXT_MAX];

	(void)state;
	assert_string_equal(figure_count(buf, 0), "0");
	assert_string_equal(figure_count(buf, 999), "999");
	assert_string_equal(figure_count(buf, 1000), "1,000");
	assert_string_equal(figure_count(buf, 3204112), "3,204,112");
	assert_string_equal(figure_count(buf, UINT64_MAX), "18,446,744,073,709,551,615");
}

static void rates(void **state)
{
	char buf[UNITS_TEXT_MAX];

	(void)state;
	assert_string_equal(figure_rate(buf, 0, SEC), "0/s");
	assert_string_equal(figure_rate(buf, 5, 0), "–");
	assert_string_equal(figure_rate(buf, 17, 5 * SEC), "3.4/s");
	assert_string_equal(figure_rate(buf, 120, SEC), "120/s");
	assert_string_equal(figure_rate(buf, 9996, 10 * SEC), "1.0k/s");
	assert_string_equal(figure_rate(buf, 41200, SEC), "41.2k/s");
	assert_string_equal(figure_rate(buf, 999600, SEC), "1.0M/s");
	assert_string_equal(figure_rate(buf, 12345678, SEC), "12.3M/s");
}

static void shares(void **state)
{
	char buf[UNITS_TEXT_MAX];

	(void)state;
	assert_string_equal(figure_share(buf, 0), "0 %");
	assert_string_equal(figure_share(buf, 0.001), "under 1 %");
	assert_string_equal(figure_share(buf, 0.124), "12 %");
	assert_string_equal(figure_share(buf, 2.5), "250 %");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(innermost_first),
		cmocka_unit_test(five_frames_at_most),
		cmocka_unit_test(frames_that_are_no_names),
		cmocka_unit_test(lines_as_far_as_they_fit),
		cmocka_unit_test(python_lines_come_before_c),
		cmocka_unit_test(no_stack),
		cmocka_unit_test(long_names_are_cut),
		cmocka_unit_test(counts_have_commas),
		cmocka_unit_test(rates),
		cmocka_unit_test(shares),
	};

	return cmocka_run_group_tests_name("site_text", tests, NULL, NULL);
}
