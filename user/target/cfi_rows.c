#include "target/cfi_rows.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#define PADDING_MAX 15 /* bytes between functions that are alignment, not code without information */
#define PAGE (1ULL << UNWIND_PAGE_SHIFT)

struct cfi_span {
	uint32_t start, end;
	uint32_t first, cnt; /* rows */
};

/* Grows an array by half as much again: hostile counts end at the caps, not in big steps before them. */
static int reserve(void **v, size_t *cap, size_t cnt, size_t size)
{
	size_t wanted = *cap + *cap / 2 + 1024;
	void *bigger;

	if (cnt < *cap)
		return 0;
	bigger = reallocarray(*v, wanted, size);
	if (!bigger)
		return -ENOMEM;
	*v = bigger;
	*cap = wanted;
	return 0;
}

void cfi_rows_begin(struct cfi_rows *rows, uint32_t start, uint32_t end)
{
	if (!rows->err)
		rows->err =
			reserve((void **)&rows->spans, &rows->span_cap, rows->span_cnt, sizeof(*rows->spans));
	if (!rows->err && rows->span_cnt == UNWIND_ROWS_MAX)
		rows->err = -E2BIG;
	if (rows->err)
		return;
	rows->spans[rows->span_cnt++] =
		(struct cfi_span){.start = start, .end = end, .first = (uint32_t)rows->cnt};
}

static bool says_the_same(const struct unwind_row *a, const struct unwind_row *b)
{
	return a->kind == b->kind && a->cfa == b->cfa && a->fp == b->fp && a->bx == b->bx;
}

void cfi_rows_add(struct cfi_rows *rows, struct unwind_row row)
{
	struct cfi_span *span;

	if (!rows->err)
		rows->err = reserve((void **)&rows->v, &rows->cap, rows->cnt, sizeof(*rows->v));
	if (!rows->err && rows->cnt == UNWIND_ROWS_MAX)
		rows->err = -E2BIG;
	if (rows->err)
		return;
	span = &rows->spans[rows->span_cnt - 1];
	if (span->cnt && says_the_same(&rows->v[rows->cnt - 1], &row))
		return;
	rows->v[rows->cnt++] = row;
	span->cnt++;
}

static int by_start(const void *a, const void *b)
{
	const struct cfi_span *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return x->first < y->first ? -1 : x->first > y->first;
}

/* Linkers mostly keep functions in order: then there is nothing to do. */
static void sort_spans(struct cfi_rows *rows)
{
	for (size_t i = 1; i < rows->span_cnt; i++) {
		if (by_start(&rows->spans[i - 1], &rows->spans[i]) <= 0)
			continue;
		qsort(rows->spans, rows->span_cnt, sizeof(*rows->spans), by_start);
		return;
	}
}

static void put(struct cfi_table *table, uint32_t pc, struct unwind_row row)
{
	if (table->row_cnt && says_the_same(&table->rows[table->row_cnt - 1], &row))
		return;
	row.pc = pc;
	table->rows[table->row_cnt++] = row;
}

/* The span's rows from address from on, which lies within it. */
static void put_span(struct cfi_table *table, const struct cfi_rows *rows, const struct cfi_span *span,
		     uint32_t from)
{
	const struct unwind_row *v = &rows->v[span->first];

	for (uint32_t i = 0; i < span->cnt; i++) {
		if (i + 1 < span->cnt && v[i + 1].pc <= from)
			continue;
		put(table, v[i].pc < from ? from : v[i].pc, v[i]);
	}
}

/* Every address between the table's first row and its last is somebody's, if only UNWIND_UNSAID's. */
static void put_all(struct cfi_table *table, const struct cfi_rows *rows)
{
	static const struct unwind_row nothing = {.kind = UNWIND_UNSAID};
	uint32_t covered = rows->spans[0].start;

	table->text = covered & ~(PAGE - 1);
	if (table->text != covered)
		put(table, (uint32_t)table->text, nothing);
	for (size_t i = 0; i < rows->span_cnt; i++) {
		const struct cfi_span *span = &rows->spans[i];

		if (span->end <= covered)
			continue;
		if (span->start > covered && span->start - covered > PADDING_MAX)
			put(table, covered, nothing);
		put_span(table, rows, span, span->start > covered ? span->start : covered);
		covered = span->end;
	}
	put(table, covered, nothing);
}

static int make_pages(struct cfi_table *table)
{
	uint64_t last = table->rows[table->row_cnt - 1].pc;
	size_t row = 0;

	table->page_cnt = ((last - table->text) >> UNWIND_PAGE_SHIFT) + 1;
	if (table->page_cnt > UNWIND_PAGES_MAX)
		return -E2BIG;
	table->pages = calloc(table->page_cnt, sizeof(*table->pages));
	if (!table->pages)
		return -ENOMEM;
	for (size_t page = 0; page < table->page_cnt; page++) {
		uint64_t end = table->text + ((page + 1) << UNWIND_PAGE_SHIFT), first = row;

		while (row < table->row_cnt && table->rows[row].pc < end)
			row++;
		table->pages[page] = first | (uint64_t)row << 32;
	}
	return 0;
}

/* Gives back what merging saved. */
static void shrink(struct cfi_table *table)
{
	struct unwind_row *rows = reallocarray(table->rows, table->row_cnt, sizeof(*rows));

	if (rows)
		table->rows = rows;
}

int cfi_rows_finish(struct cfi_rows *rows, struct cfi_table *table)
{
	int err = rows->err;

	*table = (struct cfi_table){.text = 0};
	if (err)
		return err;
	if (!rows->span_cnt)
		return -ENOENT;
	sort_spans(rows);
	/* Besides its own rows, a span puts one of the gap before it; and there are the first and the last.
	 */
	table->rows = reallocarray(NULL, rows->cnt + rows->span_cnt + 2, sizeof(*table->rows));
	if (!table->rows)
		return -ENOMEM;
	put_all(table, rows);
	shrink(table);
	err = table->row_cnt > UNWIND_ROWS_MAX ? -E2BIG : make_pages(table);
	if (err)
		cfi_free(table);
	return err;
}

void cfi_rows_free(struct cfi_rows *rows)
{
	free(rows->v);
	free(rows->spans);
	*rows = (struct cfi_rows){.err = 0};
}
