/* Cells, lines of blocks, and pages of text, without a terminal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "screen/canvas.h"
#include "screen/paper.h"
#include "screen/sparkline.h"

#define SEC 1000000000ULL

/* A row as text; the right halves of wide characters are '>'. Others than ASCII are as given in codes. */
static void check_row(const struct canvas *c, unsigned row, const char *ascii)
{
	for (unsigned i = 0; i < c->cols; i++) {
		uint32_t code = c->cells[row * c->cols + i].code;

		assert_int_equal(!code ? '>' : code > 0x7e ? '*' : code, ascii[i]);
	}
}

static void text_is_cut_at_its_width(void **state)
{
	struct canvas c = {0};

	(void)state;
	assert_int_equal(canvas_resize(&c, 3, 8), 0);
	assert_int_equal(canvas_put(&c, 0, 1, 4, STYLE_BOLD, "abcd"), 4);
	check_row(&c, 0, " abcd   ");
	assert_int_equal(c.cells[1].style, STYLE_BOLD);
	assert_int_equal(c.cells[5].style, STYLE_PLAIN);
	assert_int_equal(canvas_put(&c, 1, 1, 4, STYLE_PLAIN, "abcde"), 4);
	check_row(&c, 1, " abc*   ");
	assert_int_equal(c.cells[8 + 4].code, 0x2026);
	assert_int_equal(canvas_put(&c, 2, 6, 100, STYLE_PLAIN, "xyz"), 2); /* the edge cuts too */
	check_row(&c, 2, "      x*");
	assert_int_equal(canvas_put(&c, 3, 0, 4, STYLE_PLAIN, "no row"), 0);
	assert_int_equal(canvas_put(&c, 0, 8, 4, STYLE_PLAIN, "no column"), 0);
	assert_int_equal(canvas_put(&c, 0, 0, 0, STYLE_PLAIN, "no room"), 0);
	canvas_free(&c);
	canvas_free(&c);
}

static void wide_characters_take_two(void **state)
{
	struct canvas c = {0};

	(void)state;
	assert_int_equal(canvas_text_width("漢字a←"), 6);
	assert_int_equal(canvas_resize(&c, 1, 6), 0);
	assert_int_equal(canvas_put(&c, 0, 0, 6, STYLE_PLAIN, "漢字a"), 5);
	check_row(&c, 0, "*>*>a ");
	canvas_clear(&c);
	assert_int_equal(canvas_put(&c, 0, 0, 4, STYLE_PLAIN, "a漢字"), 4); /* no half of one */
	check_row(&c, 0, "a*>*  ");
	canvas_free(&c);
}

static void right_aligned(void **state)
{
	struct canvas c = {0};

	(void)state;
	assert_int_equal(canvas_resize(&c, 1, 8), 0);
	canvas_put_right(&c, 0, 1, 6, STYLE_PLAIN, "12");
	check_row(&c, 0, "     12 ");
	canvas_put_right(&c, 0, 0, 3, STYLE_PLAIN, "12345");
	check_row(&c, 0, "12*  12 ");
	canvas_free(&c);
}

static void no_size_is_a_size(void **state)
{
	struct canvas c = {0};

	(void)state;
	assert_int_equal(canvas_resize(&c, 0, 0), 0);
	assert_int_equal(canvas_put(&c, 0, 0, 4, STYLE_PLAIN, "a"), 0);
	canvas_style_row(&c, 0, STYLE_BAR);
	canvas_clear(&c);
	canvas_free(&c);
}

static void check_spark(const uint64_t *values, size_t cnt, const char *expected, uint64_t largest)
{
	char text[SPARKLINE_TEXT_MAX];

	assert_true(sparkline_text(text, values, cnt) == largest);
	assert_string_equal(text, expected);
}

static void blocks_are_shares_of_the_largest(void **state)
{
	(void)state;
	check_spark((uint64_t[]){0, 10, 20, 40, 80}, 5, "▁▂▃▅█", 80);
	check_spark((uint64_t[]){7, 7}, 2, "██", 7);
	check_spark((uint64_t[]){0, 0}, 2, "▁▁", 0);
	check_spark((uint64_t[]){UNKNOWN, 5, UNKNOWN}, 3, " █ ", 5);
	check_spark((uint64_t[]){UNKNOWN}, 1, " ", UNKNOWN);
	check_spark(NULL, 0, "", UNKNOWN);
}

static void columns_are_times(void **state)
{
	struct series *s = series_new();
	uint64_t v[6];

	(void)state;
	series_add(s, 10 * SEC, 1);
	series_add(s, 11 * SEC, 9); /* the larger of one column is shown */
	series_add(s, 12 * SEC, 2);
	series_add(s, 13 * SEC, UNKNOWN);
	series_add(s, 16 * SEC, 3); /* none from 14 on: the one before stays for it */
	series_columns(s, 17 * SEC, 2 * SEC, v, 6);
	assert_true(v[0] == UNKNOWN && v[1] == UNKNOWN); /* before 10 */
	assert_true(v[2] == 9 && v[3] == 2 && v[4] == 2 && v[5] == 3);
	series_columns(s, 31 * SEC, 2 * SEC, v, 6);
	for (int i = 0; i < 6; i++)
		assert_true(v[i] == UNKNOWN);
	series_add(s, 30 * SEC, 4); /* a long silence is no line */
	series_columns(s, 31 * SEC, 2 * SEC, v, 6);
	assert_true(v[5] == 4 && v[4] == UNKNOWN && v[0] == UNKNOWN);
	series_free(s);
}

static void old_points_go(void **state)
{
	struct series *s = series_new();
	uint64_t v[3];

	(void)state;
	for (uint64_t i = 0; i < 10000; i++)
		series_add(s, i * SEC, i);
	series_columns(s, 9999 * SEC, SEC, v, 3);
	assert_true(v[0] == 9997 && v[1] == 9998 && v[2] == 9999);
	series_columns(s, 100 * SEC, SEC, v, 3); /* forgotten, or to come */
	assert_true(v[0] == UNKNOWN && v[2] == UNKNOWN);
	series_free(s);
}

static void steps_are_no_shorter_than_intervals(void **state)
{
	(void)state;
	assert_true(sparkline_step(60, 10 * SEC, SEC / 4) == SEC);
	assert_true(sparkline_step(60, 10 * SEC, 2 * SEC) == 2 * SEC);
	assert_true(sparkline_step(60, 100 * SEC, 2 * SEC) == 5 * SEC);
	assert_true(sparkline_step(0, 100 * SEC, 60 * SEC) >= 60 * SEC);
}

static void paper_wraps(void **state)
{
	struct paper p = {.width = 12, .indent = 2};
	struct canvas c = {0};
	size_t scroll = 0;

	(void)state;
	paper_put(&p, STYLE_BOLD, "one two three four");
	paper_put(&p, STYLE_PLAIN, "");
	paper_put(&p, STYLE_PLAIN, "abcdefghijklmnopqrstuvw");
	assert_int_equal(p.cnt, 6);
	assert_string_equal(p.lines[0].text, "one two");
	assert_string_equal(p.lines[1].text, "  three four");
	assert_string_equal(p.lines[2].text, "");
	assert_string_equal(p.lines[3].text, "abcdefghijkl");
	assert_string_equal(p.lines[4].text, "  mnopqrstuv");
	assert_string_equal(p.lines[5].text, "  w");
	assert_int_equal(canvas_resize(&c, 2, 12), 0);
	scroll = 1;
	paper_draw(&p, &c, 0, 2, &scroll);
	assert_int_equal(scroll, 1);
	check_row(&c, 0, "  three four");
	check_row(&c, 1, "            ");
	scroll = SIZE_MAX / 2; /* its end */
	canvas_clear(&c);
	paper_draw(&p, &c, 0, 2, &scroll);
	assert_int_equal(scroll, 4);
	check_row(&c, 1, "  w         ");
	canvas_free(&c);
	paper_free(&p);
	paper_free(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_is_cut_at_its_width),
		cmocka_unit_test(wide_characters_take_two),
		cmocka_unit_test(right_aligned),
		cmocka_unit_test(no_size_is_a_size),
		cmocka_unit_test(blocks_are_shares_of_the_largest),
		cmocka_unit_test(columns_are_times),
		cmocka_unit_test(old_points_go),
		cmocka_unit_test(steps_are_no_shorter_than_intervals),
		cmocka_unit_test(paper_wraps),
	};

	setlocale(LC_CTYPE, "C.UTF-8");
	return cmocka_run_group_tests_name("screen_canvas", tests, NULL, NULL);
}
