#include "detect/limit.h"

#include <math.h>

#define CERTAIN 10.0   /* slopes of so many standard errors: samples of memory are not independent */
#define FAR 86400.0    /* seconds */

void limit_sample(struct limit_watch *w, uint64_t time_ns, uint64_t bytes)
{
	if (w->cnt == LIMIT_SAMPLES) {
		w->first = (w->first + 1) % LIMIT_SAMPLES;
		w->cnt--;
	}
	w->samples[(w->first + w->cnt++) % LIMIT_SAMPLES] = (struct limit_sample){time_ns, bytes};
}

static const struct limit_sample *at(const struct limit_watch *w, size_t i)
{
	return &w->samples[(w->first + i) % LIMIT_SAMPLES];
}

struct line {
	double slope, error; /* bytes a second */
};

/* Least squares through samples [from, to), at least three. */
static struct line fit(const struct limit_watch *w, size_t from, size_t to)
{
	double n = (double)(to - from), x_mean = 0, y_mean = 0, xx = 0, xy = 0, yy = 0, rest;
	uint64_t zero = at(w, from)->time_ns;

	for (size_t i = from; i < to; i++) {
		x_mean += (double)(at(w, i)->time_ns - zero) / 1e9 / n;
		y_mean += (double)at(w, i)->bytes / n;
	}
	for (size_t i = from; i < to; i++) {
		double x = (double)(at(w, i)->time_ns - zero) / 1e9 - x_mean, y = (double)at(w, i)->bytes - y_mean;

		xx += x * x;
		xy += x * y;
		yy += y * y;
	}
	if (xx <= 0)
		return (struct line){0, INFINITY};
	rest = yy - xy * xy / xx;
	return (struct line){xy / xx, sqrt((rest > 0 ? rest : 0) / (n - 2) / xx)};
}

static bool is_clear(const struct limit_watch *w, const struct line *all, uint64_t limit)
{
	double span = (double)(at(w, w->cnt - 1)->time_ns - at(w, 0)->time_ns) / 1e9, grown = all->slope * span;
	size_t half = w->cnt / 2;

	if (all->slope <= 0 || all->slope < CERTAIN * all->error || grown < (double)LIMIT_GROWN_MIN)
		return false;
	if (limit != UINT64_MAX && grown < (double)limit / 100)
		return false;
	return fit(w, 0, half).slope >= all->slope / 2 && fit(w, half, w->cnt).slope >= all->slope / 2;
}

struct limit_forecast limit_forecast(const struct limit_watch *w, uint64_t limit)
{
	struct limit_forecast f = {.seconds = -1};
	struct line all;
	uint64_t now;

	if (w->cnt < LIMIT_SAMPLES_MIN ||
	    at(w, w->cnt - 1)->time_ns - at(w, 0)->time_ns < LIMIT_SPAN_MIN_NS)
		return f;
	all = fit(w, 0, w->cnt);
	f.clear = is_clear(w, &all, limit);
	if (!f.clear)
		return f;
	f.growth = all.slope;
	now = at(w, w->cnt - 1)->bytes;
	if (limit != UINT64_MAX)
		f.seconds = limit > now ? (double)(limit - now) / all.slope : 0;
	if (f.seconds > FAR)
		f.seconds = -1;
	return f;
}
