/* The forms that are written as they are; others have headers of their own. form.h lists them all. */
#ifndef ALLOCTRACE_REPORT_REPORT_H
#define ALLOCTRACE_REPORT_REPORT_H

#include <stdbool.h>
#include <stdio.h>

#include "picture/snapshot.h"
#include "picture/weight.h"

/* One output form: 0, or −errno of the stream (−EPIPE: nobody reads any more). */
int report_text(FILE *out, const struct snapshot *s, bool colour);
int report_json(FILE *out, const struct snapshot *s);
/* Stacks in Brendan Gregg's folded form, one "outermost;…;innermost weight" a line, of all sites. */
int report_folded(FILE *out, const struct snapshot *s, enum site_weight weight);
/* `alloctrace heap`: the walk in full. */
int report_heap_text(FILE *out, const struct snapshot *s);

#endif
