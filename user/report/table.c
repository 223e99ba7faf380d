#include "report/table.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/printable.h"
#include "report/figure.h"

#define CELL_MAX 512

struct cell {
	char *text;
	enum table_style style;
	bool wide; /* the only one of its row: no column is as wide as it */
};

struct table {
	char align[TABLE_COLUMNS_MAX + 1];
	size_t column_cnt;
	struct cell *cells; /* row by row */
	size_t cell_cnt, capacity;
	bool failed;
};

struct table *table_new(const char *align)
{
	struct table *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	snprintf(t->align, sizeof(t->align), "%s", align);
	t->column_cnt = strlen(t->align);
	return t;
}

void table_free(struct table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->cell_cnt; i++)
		free(t->cells[i].text);
	free(t->cells);
	free(t);
}

static void add(struct table *t, enum table_style style, const char *text)
{
	char *copy = strdup(text);

	if (t->cell_cnt == t->capacity) {
		size_t capacity = t->capacity ? 2 * t->capacity : 64;
		struct cell *cells = reallocarray(t->cells, capacity, sizeof(*cells));

		if (cells) {
			t->cells = cells;
			t->capacity = capacity;
		}
	}
	if (!copy || t->cell_cnt == t->capacity) {
		free(copy);
		t->failed = true;
		return;
	}
	t->cells[t->cell_cnt++] = (struct cell){.text = copy, .style = style};
}

void table_cell(struct table *t, enum table_style style, const char *fmt, ...)
{
	char text[CELL_MAX];
	va_list args;

	if (!t || t->failed)
		return;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	add(t, style, printable(text, sizeof(text), text)); /* also mends a character that was cut */
}

void table_bytes(struct table *t, enum table_style style, uint64_t bytes)
{
	char text[UNITS_TEXT_MAX];

	table_cell(t, style, "%s", figure_text(text, bytes));
}

void table_time(struct table *t, uint64_t ns)
{
	char text[UNITS_TEXT_MAX];

	table_cell(t, TABLE_PLAIN, "%s", units_time(text, ns));
}

void table_line(struct table *t, const char *fmt, ...)
{
	char text[CELL_MAX];
	va_list args;

	if (!t || t->failed)
		return;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	add(t, TABLE_PLAIN, printable(text, sizeof(text), text));
	if (!t->failed)
		t->cells[t->cell_cnt - 1].wide = true;
	table_end_row(t);
}

void table_end_row(struct table *t)
{
	while (t && !t->failed && t->cell_cnt % t->column_cnt)
		add(t, TABLE_PLAIN, "");
}

void table_heading(struct table *t, const char *const *names)
{
	for (; *names; names++)
		table_cell(t, TABLE_PLAIN, "%s", *names);
	table_end_row(t);
}

static void measure(const struct table *t, size_t widths[TABLE_COLUMNS_MAX])
{
	memset(widths, 0, TABLE_COLUMNS_MAX * sizeof(*widths));
	for (size_t i = 0; i < t->cell_cnt; i++) {
		size_t width = printable_width(t->cells[i].text);

		if (!t->cells[i].wide && width > widths[i % t->column_cnt])
			widths[i % t->column_cnt] = width;
	}
}

/* The number of cells of a row up to its last one that is not empty: no blanks at the end of a line. */
static size_t used_cells(const struct cell *row, size_t cnt)
{
	while (cnt && !row[cnt - 1].text[0])
		cnt--;
	return cnt;
}

static void print_row(const struct table *t, const struct cell *row, const size_t *widths, FILE *out,
		      bool colour)
{
	static const char *const begin[] = {"", "\033[1m", "\033[1;31m"};
	size_t used = used_cells(row, t->column_cnt);

	for (size_t c = 0; c < used; c++) {
		int pad = row[c].wide ? 0 : (int)(widths[c] - printable_width(row[c].text));
		bool right = t->align[c] == 'r', paint = colour && row[c].style != TABLE_PLAIN;

		if (!widths[c] && !row[c].wide) /* a column that nobody used */
			continue;
		fprintf(out, "%s%*s%s%s%s%*s", c ? "  " : "", right ? pad : 0, "",
			paint ? begin[row[c].style] : "", row[c].text, paint ? "\033[0m" : "",
			right || c + 1 == used ? 0 : pad, "");
	}
	fputc('\n', out);
}

int table_print(const struct table *t, FILE *out, const char *indent, bool colour)
{
	size_t widths[TABLE_COLUMNS_MAX];

	if (!t || t->failed)
		return -ENOMEM;
	measure(t, widths);
	for (size_t i = 0; i + t->column_cnt <= t->cell_cnt; i += t->column_cnt) {
		fputs(indent, out);
		print_row(t, t->cells + i, widths, out, colour);
	}
	return 0;
}
