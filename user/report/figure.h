/* A figure in words: human units, or a dash for what nobody knows. */
#ifndef ALLOCTRACE_REPORT_FIGURE_H
#define ALLOCTRACE_REPORT_FIGURE_H

#include "base/units.h"
#include "heap/state.h"

static inline const char *figure_text(char buf[UNITS_TEXT_MAX], uint64_t bytes)
{
	return bytes == UNKNOWN ? "–" : units_bytes(buf, bytes);
}

/* "3,204,112"; returns buf, as those below. */
const char *figure_count(char buf[UNITS_TEXT_MAX], uint64_t cnt);
/* "0/s", "3.4/s", "120/s", "41.2k/s", "1.20M/s": cnt in that time; "–" in no time. */
const char *figure_rate(char buf[UNITS_TEXT_MAX], uint64_t cnt, uint64_t ns);
/* "+1.20 MiB", "-3 B", "0 B"; figure_count_change: "+1,204". */
const char *figure_change(char buf[UNITS_TEXT_MAX], int64_t bytes);
const char *figure_count_change(char buf[UNITS_TEXT_MAX], int64_t cnt);
/* "12 %", "under 1 %", "0 %". */
const char *figure_share(char buf[UNITS_TEXT_MAX], double share);

#endif
