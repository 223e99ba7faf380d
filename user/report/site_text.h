/* A site in one line: "make_row (rows.c:12) ← load_table ← main (app) ← …", innermost frame first. */
#ifndef ALLOCTRACE_REPORT_SITE_TEXT_H
#define ALLOCTRACE_REPORT_SITE_TEXT_H

#include "stack/stacks.h"

#define SITE_TEXT_MAX 1024

/* As many of the innermost frames as fit into some 70 columns; stack may be NULL. Returns buf. */
const char *site_text(char buf[SITE_TEXT_MAX], const struct stack *stack);

#endif
