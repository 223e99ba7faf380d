/*
 * Of a stack the one place that its reader can change: the innermost line of the program's own, not of
 * the language's library, the C library or a package that was installed.
 */
#ifndef ALLOCTRACE_VERDICT_OWN_LINE_H
#define ALLOCTRACE_VERDICT_OWN_LINE_H

#include "stack/stacks.h"

#define OWN_LINE_MAX 160

/*
 * "seeder.py:88", "rows.c:12", "make_row (app)", "app+0x1234"; "" where nothing is known, stack may be NULL.
 * Names must have been looked up (stack_want). Returns buf.
 */
const char *own_line_text(char buf[OWN_LINE_MAX], const struct stack *stack);
/* The same beside another place: ":31" in the same file. Returns buf. */
const char *own_line_beside(char buf[OWN_LINE_MAX], const struct stack *stack, const char *other);

#endif
