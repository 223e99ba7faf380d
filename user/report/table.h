/* Text in aligned columns: cells are collected, measured, and printed at once. */
#ifndef ALLOCTRACE_REPORT_TABLE_H
#define ALLOCTRACE_REPORT_TABLE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define TABLE_COLUMNS_MAX 12

enum table_style {
	TABLE_PLAIN,
	TABLE_BOLD,
	TABLE_RED,
};

struct table;

/* align: one 'l' or 'r' a column. NULL: no memory, which every other function bears. */
struct table *table_new(const char *align);
void table_free(struct table *t);
/* The next cell, row by row. */
void table_cell(struct table *t, enum table_style style, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void table_bytes(struct table *t, enum table_style style, uint64_t bytes); /* UNKNOWN is "–" */
void table_time(struct table *t, uint64_t ns);
/* A row of headings; names are NULL-ended and may be fewer than the columns. */
void table_heading(struct table *t, const char *const *names);
/* A row that is one text, as wide as it likes, between rows. */
void table_line(struct table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Leaves the rest of the row empty. */
void table_end_row(struct table *t);
/* Rows indented, columns two spaces apart. 0 or −ENOMEM if something had no room; errors of out are its own.
 */
int table_print(const struct table *t, FILE *out, const char *indent, bool colour);

#endif
