#include "heap/mortality.h"

#include <math.h>

#define UNSEEN 0.1   /* of one a cell, that a figure of deaths may be wrong by */
/* Seen deaths, as the pool's, that those of a site and an age are added to; more, where so few would be expected that
   none says nothing, and how few: by simulation. */
#define BORROWED 0.25
#define BORROWED_FIRST 2.0
#define BORROWED_FOR 2.0
#define KNOWN_AT 4.0   /* deaths expected, at which a site's own say as much as how many they are beside the pool's */
#define FASTER_MAX 3.0 /* than the pool's */

static double square(double v)
{
	return v * v;
}

void exposure_add(struct exposure *e, const struct passage *p, double died, double alive, double others)
{
	double keep = 1 - 1 / p->memory, usual = e->before > 0 ? e->died / e->before * alive * p->own : 0;

	e->squares = (float)(keep * e->squares + fmax(square(died - usual), p->unit * died));
	e->died = (float)(keep * e->died + died);
	e->others = (float)(keep * e->others + others * p->own);
	e->before = (float)(keep * e->before + alive * p->own);
}

double exposure_as(const struct exposure *e, const struct exposure *other)
{
	return other->before > 0 ? e->before * other->died / other->before : 0;
}

/*
 * What share died, when `died` (of one that is alive) were seen to: in the meantime its own and, of those that came
 * after them, as many as die at `turn` a life; taken: that were there before.
 */
static double share_of_own(double died, double taken, const struct passage *p)
{
	double low = 0, high = 1;

	if (died <= p->turn * taken)
		return 0;
	for (int i = 0; i < 18; i++) {
		double q = (low + high) / 2, after = 1 - q / -log1p(-q);

		if (q + p->turn * (taken + p->reused * after) < died)
			low = q;
		else
			high = q;
	}
	return fmin((low + high) / 2, MORTALITY_MAX);
}

/*
 * As its own deaths tell where they are many; else they die as fast as the pool's, times how many were seen of those
 * that should be. In logarithms, as rates: of few deaths the share comes out too high, and where nearly all die, a
 * little less of it would be many times as many alive.
 */
static double share_of(const struct exposure *e, const struct exposure *pool, const struct passage *p, double died)
{
	double share = share_of_own(died / e->before * p->own, e->others / e->before, p);
	double expected, borrowed, times, theirs, ours, known;

	if (!pool || !(pool->died > 0) || !(pool->before > 0))
		return share;
	expected = exposure_as(e, pool) / p->unit;
	borrowed = BORROWED + BORROWED_FIRST * exp(-expected / BORROWED_FOR);
	times = (died / p->unit + borrowed) / (expected + borrowed);
	theirs = log1p(-pool->share);
	ours = fmax(log1p(-share), FASTER_MAX * theirs);
	known = square(expected) / (square(expected) + square(KNOWN_AT));
	return fmin(-expm1(known * ours + (1 - known) * times * theirs), MORTALITY_MAX);
}

double mortality(const struct exposure *e, const struct exposure *pool, const struct passage *p)
{
	return e->before > 0 ? share_of(e, pool, p, e->died) : 0;
}

double mortality_error(const struct exposure *e, const struct exposure *pool, const struct passage *p)
{
	double more = sqrt(e->squares + UNSEEN * p->memory * square(p->unit));

	if (!(e->before > 0))
		return 0;
	return fmax(share_of(e, pool, p, e->died + more) - share_of(e, pool, p, e->died), 0);
}

double mortality_left(double share)
{
	return share > 1e-6 ? share / -log1p(-share) : 1;
}

/* Poisson: the likelihood of that share beside that of none. It is taken as small as chance lets it be. */
double mortality_none(double seen, double expected, double odds)
{
	double most = (seen + 2 * sqrt(seen + 1)) / fmax(expected, 1), likely;

	if (most >= 1)
		return 0;
	likely = expected - seen + (seen > 0 ? seen * log(seen / expected) : 0);
	odds *= exp(fmin(likely, 100));
	return odds / (1 + odds) * (1 - most);
}
