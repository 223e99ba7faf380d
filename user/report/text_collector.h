/* Python's garbage collector in words, for report/text.c. Prints nothing when it has nothing. */
#ifndef ALLOCTRACE_REPORT_TEXT_COLLECTOR_H
#define ALLOCTRACE_REPORT_TEXT_COLLECTOR_H

#include "picture/snapshot.h"

/* 0 or −ENOMEM. */
int text_collector(FILE *out, const struct snapshot *s, bool colour);

#endif
