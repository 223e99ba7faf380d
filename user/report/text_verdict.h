/* The verdict (verdict/verdict.h) in words, for report/text.c. */
#ifndef ALLOCTRACE_REPORT_TEXT_VERDICT_H
#define ALLOCTRACE_REPORT_TEXT_VERDICT_H

#include "picture/snapshot.h"

/* A line each, the worst first, with what to do below; nothing where there is nothing to say. 0 or −ENOMEM. */
int text_verdict(FILE *out, const struct snapshot *s, bool colour);

#endif
