/*
 * What can be said on command lines, as data: one table of rows with every option of every
 * command, and a grammar a command. options.c reads them; a new option is a row here.
 */
#ifndef ALLOCTRACE_COMMAND_GRAMMAR_H
#define ALLOCTRACE_COMMAND_GRAMMAR_H

#include <stddef.h>

#include "command/option_types.h"
#include "command/options.h"

enum {
	IN_ATTACH = 1 << 0,
	IN_RUN = 1 << 1,
	IN_HEAP = 1 << 2,
	IN_CHECK = 1 << 3,
	IN_PURGE = 1 << 4,
	IN_ALLOCATORS = 1 << 5,
	IN_REPORT = 1 << 6,
	IN_TOP = 1 << 7,
	IN_MARK = 1 << 8,
	IN_DIFF = 1 << 9,
	IN_PRINTING = IN_ATTACH | IN_RUN | IN_HEAP | IN_CHECK | IN_PURGE | IN_ALLOCATORS | IN_REPORT | IN_DIFF,
	IN_ALL = IN_PRINTING | IN_TOP | IN_MARK,
};

struct option_row {
	unsigned commands;
	char letter;                    /* 0: has none */
	const char *name;               /* NULL in a positional's row */
	const char *arg;                /* NULL: takes none */
	const struct option_type *type; /* NULL: --help */
	size_t field;
	const char *help;
};

extern const struct option_row option_rows[];
extern const size_t option_row_cnt;
#define OPTION_ROWS_MAX 128

#define POSITIONAL_MAX 3

/* A command's line: its options are the rows with its bit, its positionals are rows here. */
struct grammar {
	const char *name;
	unsigned bit;
	const char *usage;
	const char *about;                            /* paragraphs between usage and options */
	const char *examples;                         /* one a line */
	struct option_row positional[POSITIONAL_MAX]; /* ended by a row without type */
};

extern const struct grammar attach_grammar, run_grammar, top_grammar, heap_grammar, check_grammar;
extern const struct grammar purge_grammar, report_grammar, mark_grammar, diff_grammar, allocators_grammar;

#endif
