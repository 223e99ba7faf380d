/*
 * Unwind rows as they are collected from call frame information, function by function in any
 * order, and the table made of them. Functions may overlap (hostile or odd files): the one
 * that begins first keeps the place, of several that begin together the one added first.
 */
#ifndef ALLOCTRACE_TARGET_CFI_ROWS_H
#define ALLOCTRACE_TARGET_CFI_ROWS_H

#include <stddef.h>
#include <stdint.h>

#include "../bpf/unwind.h"
#include "target/cfi.h"

struct cfi_span;

/* Zeroed to begin with. */
struct cfi_rows {
	struct unwind_row *v;
	size_t cnt, cap;
	struct cfi_span *spans; /* functions */
	size_t span_cnt, span_cap;
	int err; /* −errno of what failed first; nothing more is taken then */
};

/* A function over [start, end); the rows that follow are its own: from start on, by ascending pc. */
void cfi_rows_begin(struct cfi_rows *rows, uint32_t start, uint32_t end);
void cfi_rows_add(struct cfi_rows *rows, struct unwind_row row);

/*
 * Makes the table; the caller owns it (cfi_free). −ENOENT: no rows at all. −E2BIG: more rows
 * or a longer index than bpf/unwind.h has room for. −ENOMEM.
 */
int cfi_rows_finish(struct cfi_rows *rows, struct cfi_table *table);
void cfi_rows_free(struct cfi_rows *rows);

#endif
