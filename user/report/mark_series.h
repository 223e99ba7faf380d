/*
 * How a figure went from mark to mark, and whether that can be said in one word. Robust: of straight lines
 * the one of the median slope (Theil–Sen), a trend only where Mann–Kendall's test and what is left beside the
 * line both say so. Pure.
 */
#ifndef ALLOCTRACE_REPORT_MARK_SERIES_H
#define ALLOCTRACE_REPORT_MARK_SERIES_H

#include <stddef.h>
#include <stdint.h>

#define MARK_SERIES_LEAST 4 /* of fewer marks nothing is said */

enum mark_trend {
	MARK_TREND_NONE, /* too few marks, or too uneven to say */
	MARK_STEADY,
	MARK_GROWS,
	MARK_FALLS,
	MARK_PLATEAU, /* first it changed, then no more */
	MARK_TREND_CNT
};
extern const char *const mark_trend_names[MARK_TREND_CNT]; /* NULL, "steady", … */

struct mark_series {
	size_t cnt;
	uint64_t first, last, min, max, median; /* UNKNOWN where cnt is 0 */
	enum mark_trend trend;
	double slope;   /* bytes a mark: MARK_GROWS, MARK_FALLS; else 0 */
	uint64_t level; /* MARK_STEADY, MARK_PLATEAU: where it stays */
	size_t after;   /* MARK_PLATEAU: the number of the mark, from 1, that is the first on it */
};

/* Values at cnt marks, oldest first, all known. Without memory there is no trend. */
void mark_series_make(const uint64_t *values, size_t cnt, struct mark_series *series);

#endif
