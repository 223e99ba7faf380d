#include "heap/cells.h"

#include <math.h>

#include "base/square.h"
#include "heap/cells_book.h"

#define NONE_SEEN 3.69  /* as many of mean 1 that none may be seen of, 97.5 % */
#define WALK_CELLS 1000 /* after which a walk is too old */

#define SIZE_ERROR                                                                                           \
	0.01 /* of bytes and blocks that a walk has counted: sizes within a step, and what came since */

static uint64_t whole(double v)
{
	return v > 0 ? (uint64_t)(v + 0.5) : 0;
}

static uint64_t *of(struct site_count *c, enum figure figure)
{
	return figure == CNT ? &c->cnt : &c->bytes;
}

static void set(struct site_count *figure, struct bounds *bounds, enum figure f, double v,
		struct estimate_range r)
{
	*of(figure, f) = whole(v);
	*of(&bounds->low, f) = (uint64_t)fmax(floor(fmin(r.low, v)), 0);
	*of(&bounds->high, f) = (uint64_t)ceil(fmax(r.high, v));
}

/* Of a figure that is a sum over cells: what sure ones saw, and the rest by weight. */
static void estimate_sum(const struct weighing *w, const double sums[ESTIMATE_GROUPS], double exact,
			 double factor, enum figure f, struct site_count *figure, struct bounds *b)
{
	double scaled = 0;
	struct estimate_range r;

	for (int g = 0; g < ESTIMATE_GROUPS; g++)
		scaled += factor * sums[g];
	r = estimate_interval(scaled, factor * factor * estimate_variance(w, sums), 0);
	set(figure, b, f, exact + scaled, (struct estimate_range){exact + r.low, exact + r.high});
}

/* Until the next walk: what cells say changes by more from one to the next than what is live does. */
static bool is_walked(const struct cells *c)
{
	return c->all_left >= 0 && c->ages.cells - c->walked_cell <= WALK_CELLS;
}

static double kept_of_young(const struct cells *c, const struct site_cells *s)
{
	return exp(-(double)(c->ages.cells - s->young_cell) / YOUNG_CELLS);
}

double cells_young(const struct cells *c, const struct site_cells *s, enum figure f)
{
	return kept_of_young(c, s) * s->young.v[f];
}

struct living cells_seen_living(const struct cells *c, const struct site_cells *s, enum figure f)
{
	double young = cells_young(c, s, f);
	struct living l = cohorts_living(&s->cohorts, &c->all.cohorts, f);

	l.alive += young;
	l.most += young;
	l.doubt += young;
	l.variance += kept_of_young(c, s) * s->young_squares.v[f];
	/* How many young ones there are on average is one thing, how many just now another. */
	if (young > 0 && s->young.v[CNT] > 0)
		l.variance += young * s->young.v[f] / s->young.v[CNT];
	return l;
}

struct living cells_living(const struct cells *c, const struct site_cells *s, enum figure f)
{
	struct living l = cells_seen_living(c, s, f);
	double size;

	if (!is_walked(c) || !s->raked)
		return l;
	size = s->walked.v[CNT] > 0 ? s->walked.v[f] / s->walked.v[CNT] : 0;
	l.alive = s->walked.v[f];
	l.variance = s->left * square(size) + square(SIZE_ERROR * l.alive);
	l.most = fmin(l.most, s->most.v[f] * (1 + 2 * SIZE_ERROR));
	if (f == BYTES)
		l.most = fmin(l.most, c->counted * (1 + 2 * SIZE_ERROR));
	l.most = fmax(l.most, l.alive);
	l.may = fmin(l.may, l.most);
	return l;
}

/* Of a site of which some was seen: what a block counts for. */
static double unit_of(const struct cells *c, const struct site_cells *s, enum figure f)
{
	if (!(s->seen_born.v[CNT] > 0))
		return 0;
	return c->ages.weight * s->seen_born.v[f] / s->seen_born.v[CNT];
}

/* What is live was allocated. */
static void at_least(struct site_count *figure, struct bounds *b, enum figure f, double live)
{
	if ((double)*of(figure, f) >= live)
		return;
	*of(figure, f) = whole(live);
	if (*of(&b->high, f) < *of(figure, f))
		*of(&b->high, f) = *of(figure, f);
}

static void estimate(const struct cells *c, const struct site_cells *s, uint64_t now_ns,
		     const struct living living[FIGURE_CNT], struct site *site, struct site_bounds *b)
{
	const struct weighing *w = &c->weighing;
	double factor = weighing_factor(w, c->on ? 0 : now_ns), now = c->on && !c->sure;

	for (enum figure f = 0; f < FIGURE_CNT; f++) {
		double born = (double)*of(&site->allocated, f) - s->seen_born.v[f] - now * s->now_born.v[f];
		double here = (double)*of(&site->freed_here, f) - s->scaled_here.v[f] -
			      now * s->now_freed_here.v[f];
		double temporary = (double)*of(&site->temporary, f) - s->seen_temporary.v[f] -
				   now * s->now_temporary.v[f];
		double freed, var;

		estimate_sum(w, s->born[f], born, factor, f, &site->allocated, &b->allocated);
		estimate_sum(w, s->freed_here[f], here, factor, f, &site->freed_here, &b->freed_here);
		*of(&site->temporary, f) = whole(temporary + factor * s->temporary.v[f]);
		set(&site->live, &b->live, f, living[f].alive,
		    estimate_interval(living[f].alive, living[f].variance, 0));
		*of(&b->live.high, f) =
			(uint64_t)ceil(fmax(fmin((double)*of(&b->live.high, f), living[f].most), living[f].alive));
		/* Where nothing was seen, there may have been some. */
		*of(&b->live.high, f) = (uint64_t)fmax((double)*of(&b->live.high, f),
						       fmax(living[f].may, unit_of(c, s, f) * NONE_SEEN));
		at_least(&site->allocated, &b->allocated, f, living[f].alive);
		freed = fmax((double)*of(&site->allocated, f) - living[f].alive - s->gone.v[f], 0);
		var = factor * factor * estimate_variance(w, s->born[f]) + living[f].variance;
		set(&site->freed, &b->freed, f, freed, estimate_interval(freed, var, 0));
	}
}

void cells_site(struct cells *c, uint32_t number, uint64_t now_ns, struct site *figures,
		struct site_bounds *b)
{
	static const struct site_cells none;
	const struct site_cells *s = &none;
	struct living living[FIGURE_CNT];

	if (number < c->v_cnt) {
		cells_catch_up(c, &c->v[number]);
		s = &c->v[number];
	}
	for (enum figure f = 0; f < FIGURE_CNT; f++)
		living[f] = cells_living(c, s, f);
	estimate(c, s, now_ns, living, figures, b);
}

/* What a walk counts is from before or it is ours: then no more is wrong with the sum than with the former.
 */
static double variance_of_all(const struct cells *c, const struct living living[FIGURE_CNT], enum figure f)
{
	double size = living[CNT].alive > 0 ? living[f].alive / living[CNT].alive : 0;

	if (!is_walked(c))
		return square(living[f].variance);
	return c->all_left * square(size) + square(SIZE_ERROR * living[f].alive);
}

/* Chance has sites' errors in common as far as they are alive in the same cells: they add up. */
void cells_all(struct cells *c, uint64_t now_ns, struct site *figures, struct site_bounds *b)
{
	struct living living[FIGURE_CNT] = {{0}};

	for (uint32_t i = 0; i < c->v_cnt; i++) {
		cells_catch_up(c, &c->v[i]);
		for (enum figure f = 0; f < FIGURE_CNT; f++) {
			struct living l = cells_living(c, &c->v[i], f);

			living[f].alive += l.alive;
			living[f].most += l.most;
			living[f].variance += sqrt(l.variance);
		}
	}
	for (enum figure f = 0; f < FIGURE_CNT; f++)
		living[f].variance = variance_of_all(c, living, f);
	if (living[BYTES].alive > c->peak.v[BYTES]) {
		c->peak = (struct tally){{living[CNT].alive, living[BYTES].alive}};
		c->peak_ns = now_ns;
		for (uint32_t i = 0; i < c->v_cnt; i++)
			for (enum figure f = 0; f < FIGURE_CNT; f++)
				c->v[i].peak.v[f] = cells_living(c, &c->v[i], f).alive;
	}
	estimate(c, &c->all, now_ns, living, figures, b);
}

void cells_peak_was(struct cells *c, struct site_count live, uint64_t time_ns)
{
	c->peak = tally_of(live);
	c->peak_ns = time_ns;
}

void cells_site_peak_was(struct cells *c, uint32_t number, struct site_count live)
{
	if (number < c->v_cnt)
		c->v[number].peak = tally_of(live);
}

static struct site_count rounded(const struct tally *t)
{
	return (struct site_count){.cnt = whole(t->v[CNT]), .bytes = whole(t->v[BYTES])};
}

struct site_count cells_peak(const struct cells *c, uint64_t *time_ns)
{
	*time_ns = c->peak_ns;
	return rounded(&c->peak);
}

struct site_count cells_site_peak(const struct cells *c, uint32_t number)
{
	return number < c->v_cnt ? rounded(&c->v[number].peak) : (struct site_count){0};
}

uint64_t cells_alive(const struct cells *c)
{
	return whole(is_walked(c) ? c->walked : c->alive.v[BYTES] + c->all.young.v[BYTES]);
}

double cells_share_alive(struct cells *c, uint32_t number)
{
	const struct site_cells *s;
	double share, seen;

	if (number >= c->v_cnt)
		return 1;
	cells_catch_up(c, &c->v[number]);
	s = &c->v[number];
	share = cohorts_share_alive(&s->cohorts);
	seen = cells_seen_living(c, s, CNT).alive;
	if (is_walked(c) && s->raked && seen > s->walked.v[CNT])
		share *= s->walked.v[CNT] / seen;
	return share;
}
