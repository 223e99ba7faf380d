/* A screen's parts as its tests want them, and a canvas as text. */
#ifndef ALLOCTRACE_TESTS_SCREEN_SCENE_H
#define ALLOCTRACE_TESTS_SCREEN_SCENE_H

#include <locale.h>

#include "report_fixture.h"
#include "screen/layout.h"
#include "screen/news.h"

struct stage {
	struct fixture x;
	struct model *model;
	struct journal *journal;
	struct series *series[DRAWN_CNT];
	struct order order;
	struct view view;
	struct canvas canvas;
	struct scene scene;
};

/* A process with all there is to show; stage_take shows it. */
static inline void stage_open(struct stage *t)
{
	memset(t, 0, sizeof(*t));
	fixture_start(&t->x);
	fixture_heap(&t->x, 3);
	fixture_allocs(&t->x);
	fixture_findings(&t->x);
	t->model = model_new();
	t->journal = journal_new();
	for (int i = 0; i < DRAWN_CNT; i++)
		t->series[i] = series_new();
	view_init(&t->view);
	t->scene = (struct scene){.model = t->model,
				  .order = &t->order,
				  .series = t->series,
				  .journal = t->journal,
				  .view = &t->view,
				  .interval_ns = 2 * SEC};
}

static inline void stage_order(struct stage *t)
{
	assert_int_equal(order_make(&t->order, t->model, &t->view, NULL), 0);
}

static inline void stage_take(struct stage *t)
{
	series_add(t->series[DRAWN_RSS], t->x.s.time_ns, t->x.s.rss);
	series_add(t->series[DRAWN_LIVE], t->x.s.time_ns, t->x.heap.live_heap);
	series_add(t->series[DRAWN_RETAINED], t->x.s.time_ns, t->x.heap.retained);
	assert_int_equal(model_take(t->model, &t->x.s), 0);
	stage_order(t);
}

static inline void stage_close(struct stage *t)
{
	model_free(t->model);
	journal_free(t->journal);
	for (int i = 0; i < DRAWN_CNT; i++)
		series_free(t->series[i]);
	order_free(&t->order);
	canvas_free(&t->canvas);
}

static inline size_t put_utf8(char *out, uint32_t code)
{
	if (code < 0x80) {
		out[0] = (char)code;
		return 1;
	}
	if (code < 0x800) {
		out[0] = (char)(0xc0 | code >> 6);
		out[1] = (char)(0x80 | (code & 0x3f));
		return 2;
	}
	out[0] = (char)(0xe0 | code >> 12);
	out[1] = (char)(0x80 | (code >> 6 & 0x3f));
	out[2] = (char)(0x80 | (code & 0x3f));
	return 3;
}

/* As a terminal of that size would show it, without blanks at the ends of lines; the caller frees. */
static inline char *stage_draw(struct stage *t, unsigned rows, unsigned cols)
{
	char *text = malloc((size_t)rows * (4 * (size_t)cols + 1) + 1), *out = text;

	assert_non_null(text);
	assert_int_equal(canvas_resize(&t->canvas, rows, cols), 0);
	layout_draw(&t->scene, &t->canvas);
	for (unsigned row = 0; row < rows; row++) {
		for (unsigned col = 0; col < cols; col++) {
			uint32_t code = t->canvas.cells[row * cols + col].code;

			if (code)
				out += put_utf8(out, code);
		}
		while (out > text && out[-1] == ' ')
			out--;
		*out++ = '\n';
	}
	*out = '\0';
	return text;
}

/* One key, and what it asks for. */
static inline enum view_wish stage_press(struct stage *t, uint32_t key, unsigned rows, unsigned cols)
{
	struct view_facts facts = layout_facts(&t->scene, rows, cols);
	enum view_wish wish = view_key(&t->view, key, &facts);

	if (wish == WISH_MARK)
		model_mark(t->model);
	if (wish == WISH_ORDER || wish == WISH_MARK)
		stage_order(t);
	return wish;
}

static inline void stage_type(struct stage *t, const char *keys)
{
	for (; *keys; keys++)
		stage_press(t, (unsigned char)*keys, 24, 80);
}

#endif
