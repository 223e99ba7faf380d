/* Marks, for report/text.c: in an interval each, in the final report what the kinds come to. */
#ifndef ALLOCTRACE_REPORT_TEXT_MARKS_H
#define ALLOCTRACE_REPORT_TEXT_MARKS_H

#include "picture/snapshot.h"

/* Prints nothing where there are none. 0 or −ENOMEM. */
int text_marks(FILE *out, const struct snapshot *s, bool colour);

#endif
