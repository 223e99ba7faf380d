#include "heap/estimate.h"

#include <math.h>

#define RECENT 32.0 /* cells */
#define PRIOR 4.0   /* cells that are taken to have been as planned before there were any */
#define PROGRESS_LEAST                                                                                       \
	0.005 /* of a cell's CPU time: a pair of hits takes some 3 µs, and no target does less than 15 ns   \
		 for it */
#define USUAL_SPREAD 0.5 /* of cells' progress about the mean, relative */
#define COST_SPREAD 0.12 /* of what hits cost in cells, about the mean, relative: as the machine is busy */
#define T15 2.131        /* Student's t, 15 degrees of freedom, 97.5 % */
#define NORMAL 1.95996
#define CODES_PER_OCTAVE 51.0

bool weighing_is_sure(const struct event_cell *cell)
{
	return cell->chance >= CELL_SURE;
}

unsigned estimate_group(uint64_t number)
{
	return (unsigned)((number * 0x9e3779b97f4a7c15ULL ^ number * 0xd6e8feb86659fd93ULL >> 7) >> 60);
}

static void passes(struct weighing *w, double progress)
{
	w->own += progress;
	w->passed += progress;
}

void weighing_begin(struct weighing *w, const struct event_cell *begin)
{
	passes(w, (double)begin->progress);
	if (w->last_ns && begin->head.time > w->last_ns)
		w->rate += ((double)begin->progress / (double)(begin->head.time - w->last_ns) - w->rate) /
			   (w->cells < 8 ? (double)w->cells + 1 : 8);
	w->begin = *begin;
	w->last_ns = begin->head.time;
}

/* What is measured in one cell, and what the last cells say of it, each by its error. */
static double progress_of(struct weighing *w, const struct event_cell *end)
{
	double seen = (double)end->progress, cpu = (double)end->cpu, usual, spread;
	double error = hypot((double)end->progress_error, COST_SPREAD * fmax(cpu - seen, 0));

	w->cpu = w->cpu * (1 - 1 / RECENT) + cpu;
	w->progress_of_cpu = w->progress_of_cpu * (1 - 1 / RECENT) + seen;
	if (!(cpu >
	      0)) /* of a clock that was not read anew, or of nothing: as large a part of as long a time */
		return fmax(seen,
			    PROGRESS_LEAST *
				    (double)(end->head.time > w->last_ns ? end->head.time - w->last_ns : 0));
	if (!(end->progress_error > 0) || (end->by_share && end->share))
		return seen;
	usual = cpu * fmax(w->progress_of_cpu / w->cpu, PROGRESS_LEAST);
	spread = usual * USUAL_SPREAD;
	return (seen * spread * spread + usual * error * error) / (spread * spread + error * error);
}

/* Own progress from one of the last cells to the next, beside what was planned: each cell's as much. */
static double share_of_planned(struct weighing *w, double planned)
{
	double keep = 1 - 1 / RECENT, share;

	if (planned > 0) { /* an idle process has none */
		w->shares = keep * w->shares + w->passed / planned;
		w->share_cnt = keep * w->share_cnt + 1;
	}
	share = (w->shares + PRIOR) / (w->share_cnt + PRIOR);
	w->passed = 0;
	return share;
}

/* So that what is booked now can be mended by what the usual share will turn out to be. */
static void note_hits(struct weighing *w, const struct event_cell *end, double weight, double planned,
		      double length)
{
	double hits = (double)end->hits, cpu = (double)end->cpu;
	bool mends = end->by_share && end->cpu && end->progress;

	w->hits += weight * hits;
	w->mended += mends ? planned * hits : weight * hits;
	/* A cell of dear hits had less than the usual share. */
	if (mends && end->share)
		cpu = (double)end->progress / (end->share / 0x1p32);
	w->mended_lengths += mends ? planned * length * hits / cpu : 0;
	w->error += mends ? 0 : weight * (double)end->progress_error;
	if (end->share) {
		w->share = end->share / 0x1p32;
		w->share_error = end->share_error / 0x1p32;
	}
}

/* What sums of weight × figure are to be multiplied by, as the usual share is known by now. */
static double mending(const struct weighing *w)
{
	if (!(w->mended_lengths > 0) || !(w->share > 0) || !(w->hits > 0))
		return 1;
	return (w->mended + w->mended_lengths / w->share) / w->hits;
}

double weighing_end(struct weighing *w, const struct event_cell *end)
{
	double progress, length, weight, planned;

	if (weighing_is_sure(&w->begin)) {
		w->last_ns = end->head.time;
		return 1;
	}
	progress = w->progress = progress_of(w, end);
	length = w->begin.cpu ? (double)w->begin.cpu : progress;
	w->last_ns = end->head.time > w->last_ns ? end->head.time : w->last_ns;
	weight = 0x1p32 / (double)w->begin.chance;
	if (progress > 0)
		weight = 1 + (weight - 1) * length / progress;
	passes(w, progress);
	planned = share_of_planned(w, weight * progress);
	weight *= planned;
	note_hits(w, end, weight, planned, (0x1p32 / (double)w->begin.chance - 1) * length);
	w->weighed += weight * progress;
	w->group[estimate_group(w->begin.number)] += weight * progress;
	w->squares += weight * progress * weight * progress;
	w->cells++;
	return weight;
}

double weighing_factor(const struct weighing *w, uint64_t now_ns)
{
	double own = w->own;

	if (!(w->weighed > 0))
		return 1;
	if (now_ns > w->last_ns)
		own += w->rate * (double)(now_ns - w->last_ns);
	return own / w->weighed * mending(w);
}

unsigned estimate_code(double weight, uint64_t salt)
{
	double code = weight > 1 ? log2(weight) * CODES_PER_OCTAVE : 0;
	unsigned whole = (unsigned)fmin(code, ESTIMATE_CODE_MAX);
	double low = estimate_weight(whole), high = estimate_weight(whole + 1);

	if (whole >= ESTIMATE_CODE_MAX)
		return ESTIMATE_CODE_MAX;
	return whole +
	       (weight - low > (high - low) * ((double)(salt * 0x9e3779b97f4a7c15ULL >> 11) * 0x1p-53));
}

double estimate_weight(unsigned code)
{
	return exp2((double)code / CODES_PER_OCTAVE);
}

double estimate_variance(const struct weighing *w, const double sums[ESTIMATE_GROUPS])
{
	double sum = 0, var = 0, ratio, relative, by_share = w->share > 0 ? w->mended_lengths / w->share : 0;

	for (int g = 0; g < ESTIMATE_GROUPS; g++)
		sum += sums[g];
	if (!(w->weighed > 0))
		return 0;
	ratio = sum / w->weighed;
	for (int g = 0; g < ESTIMATE_GROUPS; g++) {
		double rest = sums[g] - ratio * w->group[g];

		var += rest * rest;
	}
	/* One error common to all cells, of both kinds. */
	relative = w->error / w->weighed;
	if (by_share > 0)
		relative += by_share / (by_share + w->mended) * w->share_error / w->share;
	return var * ESTIMATE_GROUPS / (ESTIMATE_GROUPS - 1) * (T15 * T15 / (NORMAL * NORMAL)) +
	       sum * sum * relative * relative;
}

/* Wilson and Hilferty's approximation of a quantile of χ² with 2 n degrees of freedom, over 2 n. */
static double quantile(double n, double z)
{
	double root = 1 - 1 / (9 * n) + z / (3 * sqrt(n));

	return root > 0 ? root * root * root : 0;
}

struct estimate_range estimate_interval(double figure, double variance, double least)
{
	struct estimate_range r = {.low = figure, .high = figure};
	double n;

	if (figure > 0 && variance > 0) {
		n = fmax(figure * figure / variance, 0.2);
		r.low = figure * quantile(n, -NORMAL);
		r.high = figure * (n + 1) / n * quantile(n + 1, NORMAL);
	}
	r.low = fmax(r.low, least);
	r.high = fmax(r.high, r.low);
	return r;
}
