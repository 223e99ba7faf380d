/* A figure in words: human units, or a dash for what nobody knows. */
#ifndef ALLOCTRACE_REPORT_FIGURE_H
#define ALLOCTRACE_REPORT_FIGURE_H

#include "base/units.h"
#include "heap/state.h"

static inline const char *figure_text(char buf[UNITS_TEXT_MAX], uint64_t bytes)
{
	return bytes == UNKNOWN ? "–" : units_bytes(buf, bytes);
}

#endif
