#include "heap/mortality.h"

#include <math.h>

#include "base/square.h"

#define UNSEEN 0.1 /* of one a cell, that a figure of deaths may be wrong by */
/* Seen deaths, as the pool's, that those of a site and an age are added to; more, where so few would be
   expected that none says nothing, and how few: by simulation. */
#define BORROWED 0.25
#define BORROWED_FIRST 2.0
#define BORROWED_FOR 2.0
#define RATE_MAX 11.5 /* −log(1 − MORTALITY_MAX) */
#define NEWTON_STEPS 12
#define NOTHING 0.02 /* what of a site's rate is its own: not worth the steps */
#define KNOWN_AT                                                                                             \
	4.0 /* deaths expected, at which a site's own say as much as how many they are beside the pool's */
#define FASTER_MAX 3.0 /* than the pool's */

void exposure_add(struct exposure *e, const struct passage *p, double died, double alive, double others,
		  double looking)
{
	double keep = 1 - 1 / p->memory, usual = e->before > 0 ? e->died / e->before * alive * p->own : 0;

	e->squares = (float)(keep * e->squares + fmax(square(died - usual), p->unit * died));
	e->died = (float)(keep * e->died + died);
	e->others = (float)(keep * e->others + others * p->own);
	e->before = (float)(keep * e->before + alive * p->own);
	e->looking = (float)(keep * e->looking + looking * p->own);
}

/*
 * At what rate r they died (−log of what share is left), when `died` (of one that is alive) were seen to: in
 * the meantime its own and, of those that came after them, as many as die at `turn` a life; taken: that were
 * there before. What is seen grows with r, ever slower: Newton's steps from below come near and never go
 * beyond.
 */
static double rate_of_own(double died, double taken, const struct passage *p)
{
	double after = p->turn * p->reused, r;

	died -= p->turn * taken;
	if (died <= 0)
		return 0;
	if (died >= MORTALITY_MAX + after * (1 - MORTALITY_MAX / RATE_MAX))
		return RATE_MAX;
	r = fmin(died / (1 + after / 2), RATE_MAX);
	for (int i = 0; i < NEWTON_STEPS; i++) {
		double left = exp(-r), seen = 1 - left + after * (1 - (1 - left) / r),
		       slope = left + after * ((1 - left) / r - left) / r;

		if (died - seen < 1e-3 * died)
			break;
		r += (died - seen) / slope;
	}
	return fmin(r, RATE_MAX);
}

/*
 * As its own deaths tell where they are many; else they die as fast as the pool's, times how many were seen
 * of those that should be. In logarithms, as rates: of few deaths the share comes out too high, and where
 * nearly all die, a little less of it would be many times as many alive.
 */
static double rate_of(const struct exposure *e, const struct exposure *pool, const struct passage *p,
		      double died)
{
	double taken = e->others / e->before, expected, borrowed, times, theirs, known, ours;

	if (!pool || !(pool->died > 0) || !(pool->before > 0))
		return rate_of_own(died / e->before * p->own, taken, p);
	expected = e->before * pool->died / pool->before / p->unit;
	borrowed = BORROWED + BORROWED_FIRST * exp(-expected / BORROWED_FOR);
	times = (died / p->unit + borrowed) / (expected + borrowed);
	theirs = times * pool->rate;
	known = square(expected) / (square(expected) + square(KNOWN_AT));
	if (known < NOTHING)
		return fmin(theirs, RATE_MAX);
	ours = fmin(rate_of_own(died / e->before * p->own, taken, p), FASTER_MAX * pool->rate);
	return fmin(known * ours + (1 - known) * theirs, RATE_MAX);
}

double mortality(struct exposure *e, const struct exposure *pool, const struct passage *p)
{
	double rate = e->before > 0 ? rate_of(e, pool, p, e->died) : 0;

	e->rate = (float)rate;
	return -expm1(-rate);
}

double mortality_error(const struct exposure *e, const struct exposure *pool, const struct passage *p)
{
	double more = sqrt(e->squares + UNSEEN * p->memory * square(p->unit));

	if (!(e->before > 0))
		return 0;
	return fmax(exp(-(double)e->rate) - exp(-rate_of(e, pool, p, e->died + more)), 0);
}

double mortality_left(const struct exposure *e)
{
	double rate = e->rate;

	return rate > 1e-6 ? -expm1(-rate) / rate : 1;
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
