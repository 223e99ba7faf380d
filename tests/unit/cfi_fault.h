/* What cfi.h promises of any table, checked: for the unit tests and for the fuzzer. */
#ifndef ALLOCTRACE_TESTS_CFI_FAULT_H
#define ALLOCTRACE_TESTS_CFI_FAULT_H

#include "target/cfi.h"

/* NULL, or the promise that is broken. */
static inline const char *table_fault(const struct cfi_table *t)
{
	if (!t->row_cnt || t->row_cnt > UNWIND_ROWS_MAX || t->page_cnt > UNWIND_PAGES_MAX)
		return "counts";
	if (t->text & ((1 << UNWIND_PAGE_SHIFT) - 1) || t->rows[0].pc < t->text)
		return "text";
	if (t->rows[t->row_cnt - 1].kind != UNWIND_UNSAID)
		return "end";
	for (size_t i = 0; i < t->row_cnt; i++) {
		const struct unwind_row *row = &t->rows[i], *before = row - 1;
		uint64_t page = (row->pc - t->text) >> UNWIND_PAGE_SHIFT;

		if (row->kind > UNWIND_END)
			return "kind";
		if (i && row->pc <= before->pc)
			return "order";
		if (i && row->kind == before->kind && row->cfa == before->cfa && row->fp == before->fp &&
		    row->bx == before->bx)
			return "equal neighbours";
		if (page >= t->page_cnt || i < (uint32_t)t->pages[page] || i >= t->pages[page] >> 32)
			return "index";
	}
	for (size_t i = 0; i < t->page_cnt; i++)
		if ((uint32_t)t->pages[i] > t->pages[i] >> 32 || t->pages[i] >> 32 > t->row_cnt ||
		    (i && t->pages[i - 1] >> 32 != (uint32_t)t->pages[i]))
			return "pages";
	return NULL;
}

#endif
