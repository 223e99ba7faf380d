#include "heap/cohorts.h"

#include <math.h>

#define SINGLES 4 /* classes of one cell each; of the others each is twice as long as the one before */
#define UNSEEN_DEATHS 0.1 /* of one a cell, that a figure of deaths may be wrong by */
#define SPREAD                                                                                               \
	0.3 /* of the variance that deaths had if each cell's were a chance of its own: by simulation */
#define BORROWED                                                                                             \
	0.25 /* seen deaths, of all sites together, that those of a site and an age are added to: by         \
		simulation */
#define BORROWED_FIRST 2.0 /* more, where so few would be expected that none says nothing */
#define BORROWED_FOR 2.0   /* … of that order */
#define AGES_MAX                                                                                             \
	4 /* mean ages at death: what is older may never die, and does not count for the mean life           \
	   */

/*
 * Cells that deaths of a class are pooled over. The young die in a few cells: one alone says little of them.
 * Of the old, what a site did a while ago is not what it does now.
 */
static const double memories[COHORT_CNT] = {40, 40, 40, 40, 16, 8, 8, 8, 8, 16, 16, 32};

void tally_add(struct tally *t, const struct tally *more, double times)
{
	t->v[CNT] += times * more->v[CNT];
	t->v[BYTES] += times * more->v[BYTES];
}

struct tally tally_of(struct site_count c)
{
	return (struct tally){{(double)c.cnt, (double)c.bytes}};
}

unsigned ages_class(const struct ages *a, uint32_t tick)
{
	unsigned class = 0;

	while (class < COHORT_CNT - 1 && tick < a->from[class])
		class ++;
	return class;
}

/* After how many cells each a class is that of the next age. */
static uint64_t every(int class)
{
	return class < SINGLES ? 1 : 1ULL << (class - SINGLES + 2);
}

void ages_pass(struct ages *a, uint32_t tick)
{
	a->cells++;
	for (int i = COHORT_CNT - 2; i >= 0; i--) {
		if (a->cells % every(i))
			continue;
		a->from[i] = i ? a->from[i - 1] : tick;
		a->from_own[i] = i ? a->from_own[i - 1] : a->own;
	}
}

/* How old those of a class are, about: ns of own time. */
static double age_of(const struct ages *a, int class)
{
	double to = class ? a->from_own[class - 1] : a->own;

	return fmax(a->own - (a->from_own[class] + to) / 2, 0);
}

/*
 * What share of a cohort died in that time, when `died` (of one that is alive) were seen to: in the meantime
 * its own and, of those that came after them, as many as die at `turn` a life; taken: that were there before.
 */
static double share_of_own(double died, double taken, double turn, double reused)
{
	double low = 0, high = 1;

	if (died <= turn * taken)
		return 0;
	for (int i = 0; i < 12; i++) {
		double q = (low + high) / 2, after = 1 - q / -log1p(-q);

		if (q + turn * (taken + reused * after) < died)
			low = q;
		else
			high = q;
	}
	return (low + high) / 2;
}

/* Of one figure of a cohort, what is taken to have died of it. */
static double dies(struct cohort *k, const struct cohort *pool, enum figure f, double memory, double turn,
		   double reused, double own, double unit)
{
	double alive = k->alive.v[f], died = k->died[f], before = k->before[f], share, error, expected,
	       borrowed;

	if (!(before > 0))
		return 0;
	if (pool && pool->died[f] > 0 && pool->before[f] > 0) {
		expected = before * pool->died[f] / pool->before[f];
		borrowed = (BORROWED + BORROWED_FIRST * exp(-expected / (BORROWED_FOR * unit))) * unit;
		died += borrowed;
		before += borrowed * pool->before[f] / pool->died[f];
	}
	share = share_of_own(died / before * own, k->others[f] / k->before[f], turn, reused);
	error = alive / before * own;
	error *= error * (k->died_squares[f] + UNSEEN_DEATHS * memory * unit * unit);
	k->alive.v[f] = fmin(alive * (1 - share), fmax(k->looking.v[f], 0));
	k->variance.v[f] *= (1 - share) * (1 - share);
	k->spread.v[f] = k->spread.v[f] * (1 - share) * (1 - share) + SPREAD * memory * error;
	return share;
}

/* How long a site's blocks live that die: what is much older may be there for ever. */
static void note_lives(struct cohorts *s, double share, double alive, double died, double age, double own)
{
	double theirs = fmin(share * alive, died);

	s->deaths += theirs;
	s->ages += theirs * age;
	if (age * s->deaths > AGES_MAX * s->ages)
		return;
	s->turned += share * alive;
	s->lived += alive * own * (share > 0.01 ? share / -log1p(-fmin(share, 0.999)) : 1);
}

/* Of those that die, what share in an ns of own time. */
static double turn_of(const struct cohorts *s, const struct cohorts *pool)
{
	double borrowed = pool && pool->turned > 0 ? BORROWED : 0, lived = s->lived;

	if (borrowed > 0)
		lived += borrowed * pool->lived / pool->turned;
	return lived > 0 ? (s->turned + borrowed) / lived : 0;
}

static void cohort_dies(struct cohorts *s, const struct cohorts *pool, const struct ages *a, int class,
			double weight, double own)
{
	struct cohort *k = &s->v[class];
	const struct tally *dead = &s->dead[class], *replaced = &s->replaced[class];
	double memory = memories[class], keep = 1 - 1 / memory, age = age_of(a, class);
	double turn = turn_of(s, pool) * own;
	double size = k->looking.v[CNT] > 0 ? k->looking.v[BYTES] / k->looking.v[CNT] : 0;

	/* Of the same address one death a cell is seen. */
	turn = weight * -expm1(-turn / weight);
	k->beyond = age * s->deaths > AGES_MAX * s->ages;
	for (enum figure f = 0; f < FIGURE_CNT; f++) {
		double died = weight * dead->v[f], alive = k->alive.v[f], share, others, unseen;

		if (!(k->looking.v[f] + dead->v[f] > 0) && !(k->before[f] > 0))
			continue;
		others = fmax(k->looking.v[f] + dead->v[f] + replaced->v[f] - alive - k->free.v[f], 0);
		k->died_squares[f] = (float)(keep * k->died_squares[f] + died * died);
		k->died[f] = (float)(keep * k->died[f] + died);
		k->others[f] = (float)(keep * k->others[f] + others * own);
		k->before[f] = (float)(keep * k->before[f] + alive * own);
		share = dies(k, pool ? &pool->v[class] : NULL, f, memory, turn, a->reused, own,
			     weight * weight * (f == BYTES ? size : 1));
		if (f == CNT && alive > 0)
			note_lives(s, share, alive, died, age, own);
		if (k->beyond && turn > 0 && k->before[f] + k->others[f] > 0) {
			double taken = k->died[f] / (k->before[f] + k->others[f]) * own / turn;

			k->alive.v[f] =
				fmin(k->alive.v[f], fmax((1 - taken) * (k->looking.v[f] - k->free.v[f]), 0));
		}
		unseen = (1 - 1 / weight) * (share * alive + -expm1(-turn) * others);
		k->free.v[f] += (1 - a->reused) * unseen - weight * replaced->v[f];
		k->free.v[f] = fmin(fmax(k->free.v[f], 0), fmax(k->looking.v[f] - k->alive.v[f], 0));
	}
	s->dead[class] = s->replaced[class] = (struct tally){{0}};
}

/* Only what looks alive can be. */
static void bury(struct cohort *k, const struct tally *block)
{
	tally_add(&k->free, block, -1);
	for (enum figure f = 0; f < FIGURE_CNT; f++)
		k->alive.v[f] = fmin(k->alive.v[f], fmax(k->looking.v[f], 0));
}

void cohorts_leave(struct cohorts *s, unsigned class, const struct tally *block, enum cohort_end end)
{
	tally_add(&s->v[class].looking, block, -1);
	if (end == COHORT_DIED)
		tally_add(&s->dead[class], block, 1);
	else if (end == COHORT_REPLACED)
		tally_add(&s->replaced[class], block, 1);
	else
		bury(&s->v[class], block);
}

void cohorts_die(struct cohorts *s, const struct cohorts *pool, const struct ages *a, double weight,
		 double progress)
{
	for (int i = 0; i < COHORT_CNT; i++)
		cohort_dies(s, pool, a, i, weight, weight * progress);
}

void cohorts_die_seen(struct cohorts *s)
{
	for (int i = 0; i < COHORT_CNT; i++) {
		struct cohort *k = &s->v[i];

		for (enum figure f = 0; f < FIGURE_CNT; f++) {
			double before = k->looking.v[f] + s->dead[i].v[f];

			/* Those that are tracked are as likely to be alive as any of them. */
			if (before > 0)
				k->alive.v[f] *= fmax(k->looking.v[f], 0) / before;
		}
		s->dead[i] = s->replaced[i] = (struct tally){{0}};
	}
}

void cohorts_born(struct cohorts *s, const struct tally *alive, double weight)
{
	tally_add(&s->v[0].alive, alive, 1);
	tally_add(&s->v[0].looking, alive, 1);
	for (enum figure f = 0; f < FIGURE_CNT; f++)
		s->v[0].variance.v[f] += alive->v[f] * alive->v[f] * (1 - 1 / weight);
}

void cohorts_short(struct cohorts *s, const struct tally *dead, double weight, double progress)
{
	double deaths = weight * dead->v[CNT], lived = deaths * progress / 4;

	s->deaths += deaths;
	s->ages += lived;
	s->turned += deaths;
	s->lived += lived;
}

static double square(double v)
{
	return v * v;
}

static void grow_older(struct cohorts *s, int class)
{
	struct cohort *from = &s->v[class], *to = from + 1;

	for (enum figure f = 0; f < FIGURE_CNT; f++) {
		/* What is wrong with deaths that are pooled is wrong in the same way for all that they are
		 * pooled of. */
		if (memories[class] > (double)every(class))
			to->spread.v[f] = square(sqrt(to->spread.v[f]) + sqrt(from->spread.v[f]));
		else
			to->spread.v[f] += from->spread.v[f];
	}
	tally_add(&to->alive, &from->alive, 1);
	tally_add(&to->looking, &from->looking, 1);
	tally_add(&to->free, &from->free, 1);
	tally_add(&to->variance, &from->variance, 1);
	from->alive = from->looking = from->free = from->variance = from->spread = (struct tally){{0}};
}

void cohorts_pass(struct cohorts *s)
{
	s->at++;
	for (int i = COHORT_CNT - 2; i >= 0; i--)
		if (s->at % every(i) == 0)
			grow_older(s, i);
}

static bool has_any(const struct cohorts *s)
{
	for (int i = 0; i < COHORT_CNT; i++)
		if (s->v[i].looking.v[CNT] > 0 || s->v[i].before[CNT] > 0)
			return true;
	return false;
}

void cohorts_catch_up(struct cohorts *s, const struct cohorts *pool, const struct ages *a)
{
	if (s->at < a->cells && !has_any(s))
		s->at = a->cells;
	while (s->at < a->cells) {
		cohorts_die(s, pool, a, a->weight, a->stands_for / a->weight);
		cohorts_pass(s);
	}
}

struct tally cohorts_alive(const struct cohorts *s)
{
	struct tally t = {{0}};

	for (int i = 0; i < COHORT_CNT; i++)
		tally_add(&t, &s->v[i].alive, 1);
	return t;
}

struct living cohorts_living(const struct cohorts *s, enum figure f)
{
	struct living l = {.alive = 0};
	double born = 0;

	for (int i = 0; i < COHORT_CNT; i++) {
		const struct cohort *k = &s->v[i];

		l.alive += k->alive.v[f];
		if (k->looking.v[f] > 0)
			l.doubt += k->alive.v[f] *
				   (k->beyond ? 1 : fmax(1 - k->alive.v[f] / k->looking.v[f], 0));
		l.most += fmax(k->looking.v[f], 0);
		l.variance += k->variance.v[f] + k->spread.v[f];
		born += k->variance.v[f];
	}
	l.most += 2 * sqrt(born);
	return l;
}

double cohorts_share_alive(const struct cohorts *s)
{
	double alive = 0, looking = 0;

	for (int i = 0; i < COHORT_CNT; i++) {
		alive += s->v[i].alive.v[CNT];
		looking += s->v[i].looking.v[CNT];
	}
	return looking > 0 ? fmin(alive / looking, 1) : 1;
}
