#include <stdio.h>

#include "report/figure.h"
#include "report/site_text.h"
#include "report/text_findings.h"
#include "screen/layout.h"

#define COLUMN_COLS 10
#define TEXT_MIN 18 /* columns for who it was: half of a screen, but */
#define TEXT_MAX 74 /* wider is no site in a line (report/site_text.h) */

const char *layout_value(char buf[UNITS_TEXT_MAX], enum column_form form, int64_t value)
{
	char bytes[UNITS_TEXT_MAX];
	uint64_t size = value < 0 ? -(uint64_t)value : (uint64_t)value;

	if (value == NO_VALUE)
		return "–";
	if (form == COLUMN_GROWTH) {
		snprintf(buf, UNITS_TEXT_MAX, "%s%.28s",
			 value < 0 ? "−"
			 : value   ? "+"
				   : "",
			 value ? units_bytes(bytes, size) : "0");
		return buf;
	}
	if (form == COLUMN_COUNT) {
		if (size < 10000000)
			return figure_count(buf, size);
		snprintf(buf, UNITS_TEXT_MAX, "%.1fM", (double)size / 1e6);
		return buf;
	}
	return form == COLUMN_RATE && !value ? "0" : units_bytes(buf, size);
}

/* The columns for which there is room, as a bit each: always the one that is sorted by, then the first ones.
 */
static unsigned shown_columns(const struct row_table *t, unsigned sort, unsigned cols)
{
	unsigned half = cols / 2 - (cols >= 4 ? 2 : 0),
		 text = half < TEXT_MIN   ? TEXT_MIN
			: half > TEXT_MAX ? TEXT_MAX
					  : half,
		 room = cols > text ? cols - text : 0;
	unsigned shown = 1u << sort, used = COLUMN_COLS;

	for (unsigned i = 0; i < t->column_cnt; i++) {
		if (shown & 1u << i || used + COLUMN_COLS > room)
			continue;
		shown |= 1u << i;
		used += COLUMN_COLS;
	}
	return shown;
}

/* "allocated by  3 of 340 with /json, growth since 14:03:22" */
static void text_heading(const struct scene *s, char *buf, size_t size)
{
	const struct row_table *t = &s->model->tables[s->view->pane];
	char at[TEXT_CLOCK_MAX], since[64] = "", with[FILTER_MAX + 16] = "", cnt[UNITS_TEXT_MAX];

	if (s->model->grown_since_ns && pane_is_of_sites(s->view->pane))
		snprintf(since, sizeof(since), ", growth since %s", text_clock(at, s->model->grown_since_ns));
	if (s->view->filter[0])
		snprintf(with, sizeof(with), "%zu%s with /%s, of ", s->order->cnt, s->order->cut ? "+" : "",
			 s->view->filter);
	snprintf(buf, size, "%s (%s%s%s)", t->text_name, with, figure_count(cnt, t->cnt), since);
}

void layout_heading(const struct scene *s, struct canvas *c, unsigned row)
{
	const struct row_table *t = &s->model->tables[s->view->pane];
	const struct pane_view *p = &s->view->panes[s->view->pane];
	unsigned shown = shown_columns(t, p->sort, c->cols), col = 0;
	char text[160];

	for (unsigned i = 0; i < t->column_cnt; i++) {
		if (!(shown & 1u << i))
			continue;
		snprintf(text, sizeof(text), "%s%s", t->columns[i].name,
			 i != p->sort  ? ""
			 : p->reversed ? "▲"
				       : "▼");
		canvas_put_right(c, row, col, COLUMN_COLS, STYLE_BAR, text);
		col += COLUMN_COLS;
	}
	text_heading(s, text, sizeof(text));
	canvas_put(c, row, col + 2, c->cols, STYLE_BAR, text);
	canvas_style_row(c, row, STYLE_BAR);
}

static void draw_row(struct scene *s, struct canvas *c, unsigned at, const struct row *row, unsigned shown)
{
	const struct row_table *t = &s->model->tables[s->view->pane];
	unsigned sort = s->view->panes[s->view->pane].sort, col = 0;
	char value[UNITS_TEXT_MAX], text[SITE_TEXT_MAX];

	for (unsigned i = 0; i < t->column_cnt; i++) {
		if (!(shown & 1u << i))
			continue;
		canvas_put_right(c, at, col, COLUMN_COLS, i == sort ? STYLE_BOLD : STYLE_PLAIN,
				 layout_value(value, t->columns[i].form, row->values[i]));
		col += COLUMN_COLS;
	}
	if (s->view->pane == PANE_PROCESSES) {
		canvas_put(c, at, col + 2, c->cols, STYLE_PLAIN, model_process_text(s->model, row));
		return;
	}
	stack_want(s->names, row->stack);
	s->names_wanted |= stack_is_waited_for(row->stack);
	canvas_put(c, at, col + 2, c->cols, STYLE_PLAIN, site_text(text, row->stack));
}

static const char *why_empty(const struct scene *s)
{
	const struct head *h = &s->model->head;

	if (!h->time_ns)
		return "waiting for the first figures";
	if (s->view->filter[0] && s->model->tables[s->view->pane].cnt)
		return "nothing has that text; Esc shows all";
	if (s->view->pane == PANE_PROCESSES)
		return "no process yet";
	if (s->view->pane == PANE_OBJECTS)
		return h->has_objects ? "no object seen yet" : "no objects: they are not looked at";
	return h->has_sites ? "no allocation or free seen yet" : "no sites: malloc and free are not probed";
}

void layout_rows(struct scene *s, struct canvas *c, unsigned row, unsigned rows)
{
	const struct view_facts facts = layout_facts(s, c->rows, c->cols);
	struct pane_view *p = &s->view->panes[s->view->pane];
	unsigned shown = shown_columns(facts.table, p->sort, c->cols);
	size_t chosen = view_chosen(s->view, &facts);

	view_follow(s->view, &facts);
	if (!facts.cnt && rows)
		canvas_put(c, row, 2, c->cols, STYLE_DIM, why_empty(s));
	for (unsigned i = 0; i < rows && p->top + i < facts.cnt; i++) {
		draw_row(s, c, row + i, &facts.table->rows[facts.order[p->top + i]], shown);
		if (p->top + i == chosen)
			canvas_style_row(c, row + i, STYLE_CHOSEN);
	}
}
