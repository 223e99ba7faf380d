/* The parts of the folded form, for others that write such lines (diff_folded.c). */
#ifndef ALLOCTRACE_REPORT_FOLDED_H
#define ALLOCTRACE_REPORT_FOLDED_H

#include <stdio.h>

#include "picture/snapshot.h"

/* "outermost;…;innermost"; stack may be NULL. */
void folded_put_stack(FILE *out, const struct stack *stack);

#endif
