#include "report/mark_series.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/units.h"
#include "heap/state.h"

/* More marks are thinned out evenly: the slopes of all pairs are looked at. */
#define POINTS_MAX 256
/* Changes of less are page cache and malloc's chance, whatever the rest looks like. */
#define CHANGE_MIN ((double)MIB)
/* z of a normal distribution beyond which a trend is none by chance: 5 %, and 1 % where there are more marks.
 */
#define Z_FEW 1.64
#define Z_MANY 2.33
#define MANY 8
/* Of what is left beside the line, as a standard deviation, by the median. */
#define MAD_SIGMA 1.4826

const char *const mark_trend_names[MARK_TREND_CNT] = {
	[MARK_STEADY] = "steady",
	[MARK_GROWS] = "grows",
	[MARK_FALLS] = "falls",
	[MARK_PLATEAU] = "plateau",
};

/* Some of the marks, one behind the other. */
struct span {
	const double *x, *y; /* number of the mark; bytes */
	size_t cnt;
	double *room; /* of POINTS_MAX², for sorting */
};

struct line {
	double slope;
	double sigma;  /* of what is left beside it */
	bool is_clear; /* it rises or falls, and not by chance */
};

static int by_value(const void *x, const void *y)
{
	double a = *(const double *)x, b = *(const double *)y;

	return a < b ? -1 : a > b;
}

/* Sorts them. */
static double median(double *v, size_t cnt)
{
	qsort(v, cnt, sizeof(*v), by_value);
	return cnt % 2 ? v[cnt / 2] : (v[cnt / 2 - 1] + v[cnt / 2]) / 2;
}

static double median_of(const struct span *s)
{
	for (size_t i = 0; i < s->cnt; i++)
		s->room[i] = s->y[i];
	return median(s->room, s->cnt);
}

/* How far the values are apart, the outermost tenths left out. */
static double spread_of(const struct span *s)
{
	size_t out = s->cnt / 10;

	median_of(s); /* sorts */
	return s->room[s->cnt - 1 - out] - s->room[out];
}

static double span_of(const struct span *s)
{
	return s->x[s->cnt - 1] - s->x[0];
}

/* Theil–Sen's slope; score: pairs that rise less pairs that fall (Kendall's S). */
static double slope_of(const struct span *s, double *score)
{
	size_t cnt = 0;

	*score = 0;
	for (size_t i = 0; i < s->cnt; i++)
		for (size_t k = i + 1; k < s->cnt; k++) {
			double rise = s->y[k] - s->y[i];

			*score += rise > 0 ? 1 : rise < 0 ? -1 : 0;
			s->room[cnt++] = rise / (s->x[k] - s->x[i]);
		}
	return median(s->room, cnt);
}

static double sigma_of(const struct span *s, double slope)
{
	double base;

	for (size_t i = 0; i < s->cnt; i++)
		s->room[i] = s->y[i] - slope * s->x[i];
	base = median(s->room, s->cnt);
	for (size_t i = 0; i < s->cnt; i++)
		s->room[i] = fabs(s->y[i] - slope * s->x[i] - base);
	return MAD_SIGMA * median(s->room, s->cnt);
}

/* Not by chance, and more than what the values scatter by: of few marks much more. */
static struct line line_of(const struct span *s)
{
	double n = (double)s->cnt, score, change, deviation = sqrt(n * (n - 1) * (2 * n + 5) / 18);
	struct line line = {.slope = slope_of(s, &score)};

	line.sigma = sigma_of(s, line.slope);
	change = fabs(line.slope) * span_of(s);
	line.is_clear = (fabs(score) - 1) / deviation >= (s->cnt < MANY ? Z_FEW : Z_MANY) &&
			change >= CHANGE_MIN && change >= line.sigma * fmax(1, 3 * sqrt(12 / n));
	return line;
}

static struct span tail_of(const struct span *s, size_t from)
{
	return (struct span){.x = s->x + from, .y = s->y + from, .cnt = s->cnt - from, .room = s->room};
}

/* Whether from one of the marks on nothing changes, beside how it got there. */
static bool is_plateau(const struct span *tail, double before, double *level)
{
	struct line line = line_of(tail);
	double climb, most;

	*level = median_of(tail);
	climb = fabs(*level - before);
	most = fmax(CHANGE_MIN, climb / 8);
	return climb >= fmax(2 * CHANGE_MIN, *level / 50) && !line.is_clear && spread_of(tail) <= most &&
	       fabs(line.slope) * span_of(tail) <= most;
}

/* At least half of the marks are on it: of a staircase the last step is none. */
static bool find_plateau(const struct span *s, struct mark_series *series)
{
	size_t least = (s->cnt + 1) / 2 > MARK_SERIES_LEAST ? (s->cnt + 1) / 2 : MARK_SERIES_LEAST;
	double level;

	for (size_t from = 1; from + least <= s->cnt; from++) {
		struct span tail = tail_of(s, from);

		if (!is_plateau(&tail, s->y[0], &level) || fabs(s->y[from - 1] - level) < CHANGE_MIN)
			continue;
		series->trend = MARK_PLATEAU;
		series->level = (uint64_t)level;
		series->after = (size_t)s->x[from] + 1;
		return true;
	}
	return false;
}

/* It must go on doing so: what grew long ago only is no growth. */
static bool find_slope(const struct span *s, struct mark_series *series)
{
	struct line line = line_of(s), later = line;
	struct span half = tail_of(s, s->cnt / 2);

	if (s->cnt >= MANY)
		later = line_of(&half);
	if (!line.is_clear || later.slope / line.slope < 0.25)
		return false;
	series->trend = line.slope > 0 ? MARK_GROWS : MARK_FALLS;
	series->slope = line.slope;
	return true;
}

static void find_level(const struct span *s, struct mark_series *series)
{
	struct line line = line_of(s);
	double level = median_of(s), most = fmax(CHANGE_MIN, level / 20);

	if (line.is_clear || spread_of(s) > most)
		return;
	series->trend = MARK_STEADY;
	series->level = (uint64_t)level;
}

static void find_trend(const uint64_t *values, size_t cnt, struct mark_series *series)
{
	size_t points = cnt < POINTS_MAX ? cnt : POINTS_MAX;
	double *x = calloc(POINTS_MAX * (POINTS_MAX + 2), sizeof(*x)), *y = x ? x + POINTS_MAX : NULL;
	struct span all = {.x = x, .y = y, .cnt = points, .room = x ? y + POINTS_MAX : NULL};

	if (!x)
		return;
	for (size_t i = 0; i < points; i++) {
		size_t at = points == cnt ? i : i * (cnt - 1) / (points - 1);

		x[i] = (double)at;
		y[i] = (double)values[at];
	}
	if (!find_plateau(&all, series) && !find_slope(&all, series))
		find_level(&all, series);
	free(x);
}

static int by_bytes(const void *x, const void *y)
{
	uint64_t a = *(const uint64_t *)x, b = *(const uint64_t *)y;

	return a < b ? -1 : a > b;
}

static void find_order(const uint64_t *values, size_t cnt, struct mark_series *series)
{
	uint64_t *sorted = malloc(cnt * sizeof(*sorted));

	if (!sorted)
		return;
	for (size_t i = 0; i < cnt; i++)
		sorted[i] = values[i];
	qsort(sorted, cnt, sizeof(*sorted), by_bytes);
	series->min = sorted[0];
	series->max = sorted[cnt - 1];
	series->median = sorted[(cnt - 1) / 2] + (sorted[cnt / 2] - sorted[(cnt - 1) / 2]) / 2;
	free(sorted);
}

void mark_series_make(const uint64_t *values, size_t cnt, struct mark_series *series)
{
	*series = (struct mark_series){
		.cnt = cnt,
		.first = cnt ? values[0] : UNKNOWN,
		.last = cnt ? values[cnt - 1] : UNKNOWN,
		.min = UNKNOWN,
		.max = UNKNOWN,
		.median = UNKNOWN,
	};
	if (cnt)
		find_order(values, cnt, series);
	if (cnt >= MARK_SERIES_LEAST)
		find_trend(values, cnt, series);
}
