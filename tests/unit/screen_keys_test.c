/* Keys, the order of rows, growth and rates, and what the log is told. */
#include "screen_scene.h"

static uint64_t key_at(const struct stage *t, size_t i)
{
	assert_true(i < t->order.cnt);
	return t->model->tables[t->view.pane].rows[t->order.v[i]].key;
}

static int64_t value_at(const struct stage *t, uint64_t key, unsigned column)
{
	for (size_t i = 0; i < t->order.cnt; i++)
		if (key_at(t, i) == key)
			return t->model->tables[t->view.pane].rows[t->order.v[i]].values[column];
	fail_msg("no row %llu", (unsigned long long)key);
	return 0;
}

static void sorted_by_any_column(void **state)
{
	struct stage t;

	(void)state;
	stage_open(&t);
	stage_take(&t);
	assert_int_equal(t.order.cnt, SITES_CNT);
	assert_int_equal(key_at(&t, 0), 0);
	assert_int_equal(key_at(&t, 1), 1);
	stage_type(&t, "5"); /* pinned */
	assert_int_equal(t.view.panes[PANE_SITES].sort, SITE_PINNED);
	assert_int_equal(key_at(&t, 0), 2);
	stage_type(&t, "r");
	assert_int_equal(key_at(&t, SITES_CNT - 1), 2);
	stage_type(&t, ">"); /* the next, and not reversed any more */
	assert_int_equal(t.view.panes[PANE_SITES].sort, SITE_BLOCKS);
	assert_int_equal(key_at(&t, 0), 0);
	stage_type(&t, "8"); /* freed by this stack */
	assert_int_equal(key_at(&t, 0), 5);
	stage_type(&t, "1<"); /* around */
	assert_int_equal(t.view.panes[PANE_SITES].sort, SITE_PEAK);
	assert_int_equal(stage_press(&t, '0', 24, 80), WISH_NOTHING);
	stage_close(&t);
}

static void what_is_not_known_comes_last(void **state)
{
	struct stage t;

	(void)state;
	stage_open(&t);
	t.x.views[2].survey = NULL;
	stage_take(&t);
	stage_type(&t, "5");
	assert_int_equal(key_at(&t, SITES_CNT - 1), 2);
	stage_type(&t, "r");
	assert_int_equal(key_at(&t, SITES_CNT - 1), 2);
	stage_close(&t);
}

static void growth_and_rates(void **state)
{
	struct stage t;

	(void)state;
	stage_open(&t);
	stage_take(&t);
	t.x.sites[0].live.bytes += 3 * MIB;
	t.x.sites[0].allocated.bytes += 8 * MIB;
	t.x.sites[0].freed.bytes += 5 * MIB;
	t.x.s.time_ns += 4 * SEC;
	stage_take(&t);
	assert_int_equal(value_at(&t, 0, SITE_GROWTH), 3 * MIB);
	assert_int_equal(value_at(&t, 0, SITE_ALLOCATED_RATE), 2 * MIB);
	assert_int_equal(value_at(&t, 0, SITE_FREED_RATE), 5 * MIB / 4);
	assert_int_equal(value_at(&t, 1, SITE_GROWTH), 0);
	stage_type(&t, "z"); /* from now on */
	assert_int_equal(value_at(&t, 0, SITE_GROWTH), 0);
	for (int i = 0; i < 2; i++) {
		t.x.sites[0].live.bytes -= 4 * MIB;
		t.x.s.time_ns += SEC;
		stage_take(&t);
	}
	assert_int_equal(value_at(&t, 0, SITE_GROWTH), -8 * (int64_t)MIB);
	stage_type(&t, "z"); /* and back */
	t.x.s.time_ns += SEC;
	stage_take(&t);
	assert_int_equal(value_at(&t, 0, SITE_GROWTH), 0);
	stage_close(&t);
}

static void filtered_by_text(void **state)
{
	struct stage t;
	char *text;

	(void)state;
	stage_open(&t);
	stage_take(&t);
	stage_type(&t, "/SESSION");
	assert_true(t.view.typing);
	assert_int_equal(t.order.cnt, SITES_CNT); /* not before Enter */
	stage_press(&t, KEY_CODE_ENTER, 24, 80);
	assert_int_equal(t.order.cnt, 1);
	assert_int_equal(key_at(&t, 0), 2);
	stage_press(&t, KEY_CODE_ESCAPE, 24, 80);
	assert_int_equal(t.order.cnt, SITES_CNT);
	stage_type(&t, "/nothing has it");
	stage_press(&t, KEY_CODE_ENTER, 24, 80);
	assert_int_equal(t.order.cnt, 0);
	text = stage_draw(&t, 24, 80);
	assert_non_null(strstr(text, "nothing has that text"));
	free(text);
	assert_int_equal(stage_press(&t, KEY_CODE_ENTER, 24, 80), WISH_NOTHING); /* there is no row */
	stage_type(&t, "/");
	for (int i = 0; i < 20; i++)
		stage_press(&t, KEY_CODE_ERASE, 24, 80);
	stage_press(&t, 0xe9, 24, 80);
	stage_press(&t, 0x6f22, 24, 80);
	stage_press(&t, 0x1f600, 24, 80);
	assert_string_equal(t.view.typed, "é漢😀");
	stage_press(&t, KEY_CODE_ERASE, 24, 80);
	assert_string_equal(t.view.typed, "é漢");
	for (int i = 0; i < 100; i++)
		stage_press(&t, 'a', 24, 80);
	assert_int_equal(strlen(t.view.typed), FILTER_MAX - 1);
	stage_press(&t, KEY_CODE_ESCAPE, 24, 80); /* as before */
	assert_string_equal(t.view.filter, "nothing has it");
	stage_close(&t);
}

static void a_chosen_row_is_followed(void **state)
{
	struct stage t;

	(void)state;
	stage_open(&t);
	stage_take(&t);
	stage_type(&t, "j");
	assert_int_equal(t.view.panes[PANE_SITES].key, 1);
	t.x.sites[1].live.bytes += 900 * MIB;
	stage_take(&t);
	assert_int_equal(key_at(&t, 0), 1);
	stage_type(&t, "j"); /* from where it is now */
	assert_int_equal(t.view.panes[PANE_SITES].key, 0);
	stage_press(&t, KEY_CODE_HOME, 24, 80);
	assert_false(t.view.panes[PANE_SITES].moved);
	stage_close(&t);
}

static void pages_scroll(void **state)
{
	struct stage t;

	(void)state;
	stage_open(&t);
	stage_take(&t);
	stage_press(&t, KEY_CODE_END, 6, 40); /* two rows of a table there */
	assert_int_equal(t.view.panes[PANE_SITES].key, key_at(&t, SITES_CNT - 1));
	free(stage_draw(&t, 6, 40));
	assert_int_equal(t.view.panes[PANE_SITES].top, SITES_CNT - layout_for(&t.scene, 6, 40).page);
	free(stage_draw(&t, 24, 80));
	assert_int_equal(t.view.panes[PANE_SITES].top, 0); /* all fit */
	stage_type(&t, "?");
	stage_press(&t, KEY_CODE_END, 10, 40);
	free(stage_draw(&t, 10, 40));
	assert_true(t.view.scroll > 0 && t.view.scroll < 100);
	stage_press(&t, KEY_CODE_UP, 10, 40);
	stage_type(&t, "q");
	assert_int_equal(t.view.page, PAGE_TABLE);
	stage_close(&t);
}

static void q_goes_back_and_then_leaves(void **state)
{
	struct stage t;

	(void)state;
	stage_open(&t);
	stage_take(&t);
	stage_press(&t, KEY_CODE_ENTER, 24, 80);
	assert_int_equal(t.view.page, PAGE_SITE);
	assert_true(t.view.panes[PANE_SITES].moved); /* it stays this site's, wherever it goes */
	assert_int_equal(stage_press(&t, 'q', 24, 80), WISH_DRAW);
	assert_false(t.view.panes[PANE_SITES].moved);
	assert_int_equal(stage_press(&t, 'q', 24, 80), WISH_LEAVE);
	stage_type(&t, "/q");
	assert_true(t.view.typing);
	stage_close(&t);
}

static size_t lines_with(struct stage *t, const char *text)
{
	char line[JOURNAL_LINE_MAX];
	size_t cnt = 0;
	bool alarm;

	for (size_t i = 0; i < journal_cnt(t->journal); i++)
		cnt += strstr(journal_line(t->journal, NULL, i, line, &alarm), text) != NULL;
	return cnt;
}

static void everything_is_told_once(void **state)
{
	struct stage t;

	(void)state;
	stage_open(&t);
	for (int i = 0; i < 3; i++)
		news_tell(t.journal, &t.x.s, t.x.s.time_ns);
	assert_int_equal(lines_with(&t, "malloc_trim returned 1.35 GiB in 26.0 ms, effective by ffi_call"),
			 1);
	assert_int_equal(lines_with(&t, "mi_collect returned 0 B in 190 µs, MISDIRECTED: glibc serves this "
					"process, call malloc_trim(0) by ffi_call"),
			 1);
	assert_int_equal(lines_with(&t, "a purge was missing for 30.0 s"), 1);
	assert_int_equal(lines_with(&t, "a purge is missing since 22:14:45"), 1);
	assert_int_equal(lines_with(&t, "libc.so.6 was opened 1400 times"), 1);
	assert_int_equal(journal_cnt(t.journal), 5);
	t.x.windows[1].end_ns = 101 * SEC;
	t.x.s.final = true; /* all since the attach: what is old was told, what is new is not */
	t.x.purges[0].time_ns = 10 * SEC;
	t.x.purges[1].time_ns = 102 * SEC;
	news_tell(t.journal, &t.x.s, 101 * SEC);
	assert_int_equal(lines_with(&t, "a purge was missing for 16.0 s"), 1);
	assert_int_equal(lines_with(&t, "malloc_trim returned"), 2);
	assert_int_equal(lines_with(&t, "mi_collect returned"), 1);
	stage_close(&t);
}

static void lines_settle_and_go(void **state)
{
	struct stage t;
	char line[JOURNAL_LINE_MAX];
	bool alarm;

	(void)state;
	stage_open(&t);
	journal_add_by(t.journal, 5 * SEC, true, "a\033purge", fixture_stack_of("main (app)"));
	journal_settle(t.journal);
	assert_string_equal(journal_line(t.journal, NULL, 0, line, &alarm),
			    "22:13:25  a?purge by main (app)");
	assert_true(alarm);
	for (int i = 0; i < 2500; i++)
		journal_add_by(t.journal, 6 * SEC, false,
			       i == 1499   ? "before"
			       : i == 1500 ? "first"
					   : "x",
			       fixture_stack_of("main (app)"));
	assert_int_equal(journal_cnt(t.journal), 1000);
	assert_string_equal(journal_line(t.journal, NULL, 0, line, &alarm), "22:13:26  first by main (app)");
	journal_settle(t.journal);
	assert_string_equal(journal_line(t.journal, NULL, 999, line, &alarm), "22:13:26  x by main (app)");
	stage_close(&t);
}

static void left_in_a_line(void **state)
{
	char line[MODEL_LINE_MAX];
	struct stage t;

	(void)state;
	stage_open(&t);
	stage_take(&t);
	assert_string_equal(
		model_line(t.model, line),
		"python3 (4242), glibc 2.36, watched for 1 min 0 s: RSS 1.92 GiB, 349 MiB live, 1.65 "
		"GiB retained, of it 1.52 GiB purgeable");
	stage_close(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sorted_by_any_column),
		cmocka_unit_test(what_is_not_known_comes_last),
		cmocka_unit_test(growth_and_rates),
		cmocka_unit_test(filtered_by_text),
		cmocka_unit_test(a_chosen_row_is_followed),
		cmocka_unit_test(pages_scroll),
		cmocka_unit_test(q_goes_back_and_then_leaves),
		cmocka_unit_test_setup(everything_is_told_once, use_utc),
		cmocka_unit_test_setup(lines_settle_and_go, use_utc),
		cmocka_unit_test(left_in_a_line),
	};

	setlocale(LC_CTYPE, "C.UTF-8");
	return cmocka_run_group_tests_name("screen_keys", tests, NULL, NULL);
}
