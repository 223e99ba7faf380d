/* The detectors' findings in words, for report/text.c. Each prints nothing when it has nothing. */
#ifndef ALLOCTRACE_REPORT_TEXT_FINDINGS_H
#define ALLOCTRACE_REPORT_TEXT_FINDINGS_H

#include "picture/snapshot.h"

#define TEXT_CLOCK_MAX 16

/* Local wall-clock time, "14:03:22"; returns buf. */
const char *text_clock(char buf[TEXT_CLOCK_MAX], uint64_t monotonic_ns);

/* 0 or −ENOMEM. */
int text_purges(FILE *out, const struct snapshot *s, bool colour);
int text_windows(FILE *out, const struct snapshot *s, bool colour);
int text_churn(FILE *out, const struct snapshot *s, bool colour);

#endif
