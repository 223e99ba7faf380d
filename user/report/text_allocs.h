/* What allocation events tell, in words, for report/text.c: figures, who holds, who freed, who pins. */
#ifndef ALLOCTRACE_REPORT_TEXT_ALLOCS_H
#define ALLOCTRACE_REPORT_TEXT_ALLOCS_H

#include "picture/snapshot.h"

/* Prints nothing without allocation events. 0 or −ENOMEM. */
int text_allocs(FILE *out, const struct snapshot *s, bool colour);

#endif
