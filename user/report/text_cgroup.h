/* The cgroup in words, for report/text.c. Prints nothing when there is none. */
#ifndef ALLOCTRACE_REPORT_TEXT_CGROUP_H
#define ALLOCTRACE_REPORT_TEXT_CGROUP_H

#include "picture/snapshot.h"

void text_cgroup(FILE *out, const struct snapshot *s, bool colour);

#endif
