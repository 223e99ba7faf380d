/* What the screen shows, at the sizes that people have: golden screens, and none that crash. */
#include "screen_scene.h"

static void check_screen(struct stage *t, unsigned rows, unsigned cols, const char *name)
{
	char *text = stage_draw(t, rows, cols);

	golden_check(name, text);
	free(text);
}

static void an_ordinary_terminal(void **state)
{
	struct stage t;

	(void)state;
	stage_open(&t);
	news_tell(t.journal, &t.x.s, 0);
	stage_take(&t);
	check_screen(&t, 24, 80, "screen_80x24.txt");
	check_screen(&t, 43, 132, "screen_132x43.txt");
	check_screen(&t, 10, 40, "screen_40x10.txt");
	stage_close(&t);
}

static void before_anything_is_known(void **state)
{
	struct stage t;

	(void)state;
	stage_open(&t);
	check_screen(&t, 24, 80, "screen_empty.txt");
	stage_close(&t);
}

static void pages(void **state)
{
	struct stage t;

	(void)state;
	stage_open(&t);
	stage_take(&t);
	stage_press(&t, KEY_CODE_ENTER, 24, 80);
	check_screen(&t, 24, 80, "screen_site.txt");
	stage_type(&t, "q?");
	check_screen(&t, 40, 80, "screen_help.txt");
	stage_close(&t);
}

/* The sum of two, one of which has ended. */
static void many_processes(void **state)
{
	struct stage t;
	struct fixture y;
	struct snapshot sum;
	const struct snapshot *const v[] = {&t.x.s, &y.s};
	struct process_rows rows = {.v = v, .cnt = 2, .living = 1, .came = 1};

	(void)state;
	stage_open(&t);
	fixture_start(&y);
	fixture_heap(&y, 2);
	y.s.pid = 4243;
	y.s.rss = 9 * MIB;
	y.s.gone = y.s.killed = true;
	y.s.ended = "the target was killed by signal 9 (Killed)";
	sum = t.x.s;
	sum.processes = &rows;
	sum.command = "worker.service";
	news_tell(t.journal, &y.s, 0);
	assert_int_equal(model_take(t.model, &sum), 0);
	stage_press(&t, KEY_CODE_TAB, 24, 100);
	check_screen(&t, 24, 100, "screen_processes.txt");
	stage_close(&t);
}

/* Whatever the page and the size: nothing is drawn outside, and something fills it. */
static void any_size(void **state)
{
	static const uint32_t keys[] = {
		' ', '/', 'x', KEY_CODE_ENTER, KEY_CODE_ESCAPE, KEY_CODE_END, KEY_CODE_ENTER,
		'l', '?', 'q', KEY_CODE_TAB};
	struct stage t;

	(void)state;
	stage_open(&t);
	news_tell(t.journal, &t.x.s, 0);
	stage_take(&t);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		for (unsigned rows = 1; rows < 50; rows += rows < 14 ? 1 : 5)
			for (unsigned cols = 1; cols < 700; cols += cols < 44 ? 1 : 97)
				free(stage_draw(&t, rows, cols));
		stage_press(&t, keys[i], 24, 80);
	}
	stage_close(&t);
}

static void figures_as_their_columns_write_them(void **state)
{
	char buf[UNITS_TEXT_MAX];

	(void)state;
	assert_string_equal(layout_value(buf, COLUMN_BYTES, NO_VALUE), "–");
	assert_string_equal(layout_value(buf, COLUMN_BYTES, 3 << 20), "3.00 MiB");
	assert_string_equal(layout_value(buf, COLUMN_GROWTH, 3 << 20), "+3.00 MiB");
	assert_string_equal(layout_value(buf, COLUMN_GROWTH, -(3 << 20)), "−3.00 MiB");
	assert_string_equal(layout_value(buf, COLUMN_GROWTH, 0), "0");
	assert_string_equal(layout_value(buf, COLUMN_RATE, 0), "0");
	assert_string_equal(layout_value(buf, COLUMN_COUNT, 1234567), "1,234,567");
	assert_string_equal(layout_value(buf, COLUMN_COUNT, 123456789), "123.5M");
}

/* Where Python's objects are looked at, a table of theirs lies between that of sites and that of processes. */
static void python_objects_have_a_table(void **state)
{
	struct stage t;
	char *text;

	(void)state;
	stage_open(&t);
	stage_take(&t);
	stage_press(&t, KEY_CODE_TAB, 24, 100);
	assert_int_equal(t.view.pane, PANE_PROCESSES); /* there are none */
	stage_press(&t, KEY_CODE_TAB, 24, 100);
	fixture_objects(&t.x);
	stage_take(&t);
	stage_press(&t, KEY_CODE_TAB, 24, 120);
	text = stage_draw(&t, 24, 120);
	assert_non_null(strstr(text, "Python objects born by (2)"));
	assert_non_null(strstr(text, "24.0 MiB"));
	assert_non_null(strstr(text, "parse (app.py:3)"));
	assert_true(strstr(text, "parse (app.py:3)") < strstr(text, "note (app.py:6)"));
	free(text);
	stage_press(&t, KEY_CODE_ENTER, 24, 120);
	text = stage_draw(&t, 24, 120);
	assert_non_null(strstr(text, "objects 150,000"));
	assert_non_null(strstr(text, "app.py:9:<module>"));
	free(text);
	stage_press(&t, 'q', 24, 120);
	t.x.object_sites[0].live.bytes += MIB;
	t.x.s.time_ns += SEC;
	stage_take(&t);
	text = stage_draw(&t, 24, 120);
	assert_non_null(strstr(text, "+1.00 MiB"));
	free(text);
	stage_press(&t, KEY_CODE_TAB, 24, 120);
	assert_int_equal(t.view.pane, PANE_PROCESSES);
	stage_close(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(an_ordinary_terminal, use_utc),
		cmocka_unit_test_setup(before_anything_is_known, use_utc),
		cmocka_unit_test_setup(pages, use_utc),
		cmocka_unit_test_setup(many_processes, use_utc),
		cmocka_unit_test_setup(any_size, use_utc),
		cmocka_unit_test(figures_as_their_columns_write_them),
		cmocka_unit_test(python_objects_have_a_table),
	};

	setlocale(LC_CTYPE, "C.UTF-8");
	return cmocka_run_group_tests_name("screen_layout", tests, NULL, NULL);
}
