#include "screen/layout.h"

#include <stdio.h>
#include <string.h>

#include "base/printable.h"

static unsigned notes_max(unsigned rows)
{
	return rows >= 24 ? 3 : rows >= 20 ? 2 : rows >= 12 ? 1 : 0;
}

/* With the line above them. */
static unsigned log_rows(unsigned rows, size_t lines)
{
	unsigned max = rows >= 40 ? 9 : rows >= 30 ? 6 : rows >= 22 ? 4 : rows >= 16 ? 3 : 0;

	return lines + 1 < max ? (unsigned)lines + 1 : max;
}

struct layout layout_for(const struct scene *s, unsigned rows, unsigned cols)
{
	struct layout l = {.title = 1, .keys = rows >= 2};
	struct note notes[NOTES_MAX];
	unsigned used, wanted;

	(void)cols;
	l.heading = rows >= 4;
	l.figures = rows >= 12 ? DRAWN_CNT : rows >= 5;
	wanted = layout_notes(&s->model->head, notes);
	l.notes = wanted < notes_max(rows) ? wanted : notes_max(rows);
	l.log = log_rows(rows, journal_cnt(s->journal));
	used = l.title + l.figures + l.notes + l.heading + l.log + l.keys;
	l.page = rows > used ? rows - used : 0;
	return l;
}

struct view_facts layout_facts(const struct scene *s, unsigned rows, unsigned cols)
{
	struct layout l = layout_for(s, rows, cols);
	size_t page = s->view->page == PAGE_TABLE ? l.page : l.heading + l.page + l.log;

	return (struct view_facts){
		.table = &s->model->tables[s->view->pane],
		.order = s->order->v,
		.cnt = s->order->cnt,
		.page_rows = page ? page : 1,
		.has_objects = s->model->head.has_objects,
	};
}

static void draw_notes(const struct scene *s, struct canvas *c, unsigned row, unsigned rows)
{
	struct note notes[NOTES_MAX];

	layout_notes(&s->model->head, notes);
	for (unsigned i = 0; i < rows; i++)
		canvas_put(c, row + i, 0, c->cols, notes[i].style, notes[i].text);
}

static void draw_log(struct scene *s, struct canvas *c, unsigned row, unsigned rows)
{
	size_t cnt = journal_cnt(s->journal);
	unsigned shown = rows ? rows - 1 : 0;
	char line[JOURNAL_LINE_MAX];
	bool alarm;

	if (!rows)
		return;
	for (unsigned i = 0; i < c->cols; i++)
		canvas_put(c, row, i, 1, STYLE_DIM, "─");
	canvas_put(c, row, 1, c->cols, STYLE_DIM, cnt ? " log " : " log: nothing yet ");
	for (unsigned i = 0; i < shown && i < cnt; i++) {
		size_t at = cnt - (cnt < shown ? cnt : shown) + i;

		journal_line(s->journal, s->names, at, line, &alarm);
		canvas_put(c, row + 1 + i, 0, c->cols, alarm ? STYLE_ALARM : STYLE_PLAIN, line);
	}
}

static void put_log(struct scene *s, struct paper *paper)
{
	char line[JOURNAL_LINE_MAX];
	bool alarm;

	paper->indent = 10;
	if (!journal_cnt(s->journal))
		paper_put(paper, STYLE_DIM, "Nothing yet: purges, windows, marks and warnings come here.");
	for (size_t i = 0; i < journal_cnt(s->journal); i++) {
		journal_line(s->journal, s->names, i, line, &alarm);
		paper_put(paper, alarm ? STYLE_ALARM : STYLE_PLAIN, line);
	}
}

static void put_help(const struct scene *s, struct paper *paper)
{
	static const char *const keys[] = {
		"< >  ← →     sort by the column before, after; 1 … 9: by that one",
		"r            reverse the order",
		"↑ ↓  j k     choose a row; PgUp, PgDn, Home, End too",
		"Enter        the whole stack of the chosen site; n there: Python frames only, or all",
		"/            show only rows with a text: a function, object or file of the stack",
		"Esc          back; show all rows again",
		"z            growth counts from now, or again since the last interval",
		"Tab          sites, Python's objects, or processes",
		"space        stop the figures, and let them go on; the log goes on",
		"l            the whole log: purges, windows, marks, warnings",
		"Ctrl-L       draw everything anew",
		"q            leave",
	};
	static const char *const titles[PANE_CNT] = {
		[PANE_SITES] = "Columns of sites",
		[PANE_OBJECTS] = "Columns of Python's objects",
		[PANE_PROCESSES] = "Columns of processes",
	};
	char line[160];

	paper->indent = 13;
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		paper_put(paper, STYLE_PLAIN, keys[i]);
	for (int pane = 0; pane < PANE_CNT; pane++) {
		const struct row_table *t = &s->model->tables[pane];

		if (pane == PANE_OBJECTS && !s->model->head.has_objects)
			continue;
		paper_put(paper, STYLE_PLAIN, "");
		paper_put(paper, STYLE_BOLD, titles[pane]);
		for (unsigned i = 0; i < t->column_cnt; i++) {
			snprintf(line, sizeof(line), "%u %-9s  %s", i + 1, t->columns[i].name,
				 t->columns[i].help);
			paper_put(paper, STYLE_PLAIN, line);
		}
	}
	paper_put(paper, STYLE_PLAIN, "");
	paper_put(paper, STYLE_PLAIN, "man alloctrace has every word.");
}

static const struct row *row_of(const struct scene *s, uint64_t key)
{
	const struct row_table *t = &s->model->tables[s->view->pane];

	for (size_t i = 0; i < t->cnt; i++)
		if (t->rows[i].key == key)
			return &t->rows[i];
	return NULL;
}

static void put_site_figures(const struct row_table *t, const struct row *row, struct paper *paper)
{
	char line[512], value[UNITS_TEXT_MAX];
	size_t used = 0;

	for (unsigned i = 0; i < t->column_cnt && used < sizeof(line); i++)
		used += (size_t)snprintf(line + used, sizeof(line) - used, "%s%s %s", i ? ", " : "",
					 t->columns[i].name,
					 layout_value(value, t->columns[i].form, row->values[i]));
	paper_put(paper, STYLE_BOLD, line);
	paper_put(paper, STYLE_PLAIN, "");
}

static void put_frames(const struct scene *s, const struct stack *stack, struct paper *paper)
{
	static const struct frame_form form = {.module = true, .line = true};
	struct stack_walk walk = {.stack = stack};
	const struct frame_name *name;
	char text[FRAME_TEXT_MAX];

	while ((name = stack_next_out(&walk))) {
		if (s->view->python_only && name->kind != FRAME_PYTHON)
			continue;
		frame_text(text, sizeof(text), name, &form);
		paper_put(paper, name->kind == FRAME_PYTHON ? STYLE_BOLD : STYLE_PLAIN,
			  printable(text, sizeof(text), text));
	}
	if (stack->cut) {
		snprintf(text, sizeof(text), "… %s", stack_cut_names[stack->cut]);
		paper_put(paper, STYLE_DIM, text);
	}
}

static void put_site(struct scene *s, struct paper *paper)
{
	const struct row *row = row_of(s, s->view->panes[s->view->pane].key);

	paper->indent = 4;
	if (!row) {
		paper_put(paper, STYLE_DIM, "This site is not there any more.");
		return;
	}
	put_site_figures(&s->model->tables[s->view->pane], row, paper);
	if (!row->stack || !row->stack->cnt) {
		paper_put(paper, STYLE_DIM, "Blocks whose stack was not taken or not kept.");
		return;
	}
	stack_want(s->names, row->stack);
	s->names_wanted |= stack_is_waited_for(row->stack);
	put_frames(s, row->stack, paper);
}

static void draw_page(struct scene *s, struct canvas *c, unsigned row, unsigned rows)
{
	static void (*const put[])(struct scene * s, struct paper * paper) = {
		[PAGE_SITE] = put_site,
		[PAGE_LOG] = put_log,
	};
	struct paper paper = {.width = c->cols};

	if (s->view->page == PAGE_HELP)
		put_help(s, &paper);
	else
		put[s->view->page](s, &paper);
	paper_draw(&paper, c, row, rows, &s->view->scroll);
	paper_free(&paper);
}

static const char *keys_text(const struct scene *s, char buf[160])
{
	const struct view *v = s->view;

	if (v->typing) {
		snprintf(buf, 160, " /%s▏  Enter: show only these, Esc: as before", v->typed);
		return buf;
	}
	switch (v->page) {
	case PAGE_SITE:
		return " q back  ↑↓ scroll  n Python only  ? help";
	case PAGE_LOG:
	case PAGE_HELP:
		return " q back  ↑↓ scroll";
	default:
		if (!pane_is_of_sites(v->pane))
			return " q quit  ? help  <> sort  r reverse  / filter  l log  space pause  Tab sites";
		snprintf(buf, 160,
			 " q quit  ? help  <> sort  r reverse  Enter stack  / filter  l log  space pause  "
			 "z growth from now  Tab %s",
			 v->pane == PANE_SITES && s->model->head.has_objects ? "Python objects"
									     : "processes");
		return buf;
	}
}

void layout_draw(struct scene *s, struct canvas *c)
{
	struct layout l = layout_for(s, c->rows, c->cols);
	unsigned row = l.title;
	char buf[160];

	canvas_clear(c);
	s->names_wanted = false;
	layout_title(s, c);
	layout_figures(s, c, row, l.figures);
	row += l.figures;
	draw_notes(s, c, row, l.notes);
	row += l.notes;
	if (s->view->page == PAGE_TABLE) {
		if (l.heading)
			layout_heading(s, c, row);
		layout_rows(s, c, row + l.heading, l.page);
		draw_log(s, c, row + l.heading + l.page, l.log);
	} else {
		draw_page(s, c, row, l.heading + l.page + l.log);
	}
	s->names_wanted |= journal_waits(s->journal);
	if (l.keys) {
		canvas_put(c, c->rows - 1, 0, c->cols, STYLE_BAR, keys_text(s, buf));
		canvas_style_row(c, c->rows - 1, STYLE_BAR);
	}
}
