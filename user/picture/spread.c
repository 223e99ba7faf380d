#include "picture/spread.h"

#include <math.h>

#include "heap/state.h"

_Static_assert(sizeof(struct bounded) == BOUNDED_FIGURES * sizeof(uint64_t), "an array of figures");
_Static_assert(sizeof(struct bounds) == 2 * sizeof(struct site_count), "low, high");
_Static_assert(sizeof(struct site_bounds) == 2 * sizeof(struct bounded), "bounds of each");

static double square(uint64_t less, uint64_t more)
{
	double width = more > less ? (double)(more - less) : 0;

	return more == UNKNOWN ? INFINITY : width * width;
}

void spread_add(struct spread *s, const struct bounded *figures, const struct site_bounds *bounds)
{
	const uint64_t *v = (const uint64_t *)figures;
	struct site_bounds b;

	if (!bounds)
		return;
	b = *bounds;
	s->any = true;
	for (unsigned i = 0; i < BOUNDED_FIGURES; i++) {
		s->below[i] += square(*bounds_low(&b, i), v[i]);
		s->above[i] += square(v[i], *bounds_high(&b, i));
	}
}

void spread_forget_live(struct spread *s)
{
	for (unsigned i = 0; i < 2; i++)
		s->below[i] = s->above[i] = 0;
}

static uint64_t lowered(uint64_t figure, double by)
{
	return by < (double)figure ? figure - (uint64_t)ceil(by) : 0;
}

static uint64_t raised(uint64_t figure, double by)
{
	return by < 0x1p63 - (double)figure ? figure + (uint64_t)ceil(by) : UNKNOWN;
}

void spread_bounds(const struct spread *s, const struct bounded *sum, struct site_bounds *bounds)
{
	const uint64_t *v = (const uint64_t *)sum;

	for (unsigned i = 0; i < BOUNDED_FIGURES; i++) {
		*bounds_low(bounds, i) = lowered(v[i], sqrt(s->below[i]));
		*bounds_high(bounds, i) = raised(v[i], sqrt(s->above[i]));
	}
}
