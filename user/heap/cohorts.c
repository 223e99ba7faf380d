#include "heap/cohorts.h"

#include <math.h>

#include "base/square.h"

#define SINGLES 4 /* classes of one cell each; of the others each is twice as long as the one before */
#define SPREAD                                                                                               \
	0.4 /* of the variance that deaths had if all cells that they are summed over had the same error: by \
	       simulation */
#define FEW 3.0 /* deaths seen of a site that say that it does die: by e each less may be alive */
#define BORROWED                                                                                             \
	0.25 /* deaths, of all sites together, that those of a site tell beside how long its blocks live */
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
	double borrowed = 0, lived = s->lived;

	if (pool && pool->turned > 0) {
		borrowed = BORROWED;
		lived += borrowed * pool->lived / pool->turned;
	}
	return lived > 0 ? (s->turned + borrowed) / lived : 0;
}

/* Deaths at the site's addresses, and as many as there would be if they were the pool's. */
static void compare(struct cohorts *s, const struct exposure *pool, int class, double looking,
		    const struct passage *p)
{
	s->seen += s->dead[class].v[CNT] / s->weight;
	if (pool && pool->looking > 0)
		s->as_pool += pool->died / pool->looking * looking * p->own / p->unit;
}

/* So many looked alive before the cell, of one figure. */
static double looked(const struct cohorts *s, int class, enum figure f)
{
	return s->v[class].looking.v[f] + s->dead[class].v[f] + s->replaced[class].v[f];
}

/* So many others are at the addresses of blocks that look alive, of one figure. */
static double others(const struct cohorts *s, int class, enum figure f)
{
	const struct cohort *k = &s->v[class];

	return fmax(looked(s, class, f) - k->alive.v[f] - k->free.v[f], 0);
}

/* As much as deaths leave alive, of one figure. */
static void leave_alive(struct cohort *k, enum figure f, double share, double error, const struct passage *p)
{
	double in_use = k->looking.v[f] - k->free.v[f], alive = k->alive.v[f];

	k->alive.v[f] = alive * (1 - share);
	k->variance.v[f] *= square(1 - share);
	k->spread.v[f] = k->spread.v[f] * square(1 - share) + SPREAD * p->memory * square(error * alive);
	if (k->beyond && p->turn > 0 && k->seen.before + k->seen.others > 0) {
		double taken = k->seen.died / (k->seen.before + k->seen.others) * p->own / p->turn;

		k->alive.v[f] = fmin(k->alive.v[f], fmax((1 - taken) * in_use, 0));
	}
	k->alive.v[f] = fmax(k->alive.v[f], p->stay * in_use);
}

/* What of those that look alive is nobody's: dead, and its address not taken. */
static void leave_free(struct cohort *k, enum figure f, double unseen, double replaced,
		       const struct passage *p)
{
	k->free.v[f] += (1 - p->reused) * unseen - replaced;
	k->free.v[f] = fmin(fmax(k->free.v[f], 0), fmax(k->looking.v[f] - k->alive.v[f], 0));
}

static void cohort_dies(struct cohorts *s, const struct cohorts *pool, const struct ages *a, int class,
			struct passage *p)
{
	const struct exposure *theirs = pool ? &pool->v[class].seen : NULL;
	struct cohort *k = &s->v[class];
	double died = s->weight * s->dead[class].v[CNT], looking = looked(s, class, CNT), share, error;
	double age = age_of(a, class);

	if (!(looking > 0) && !(k->seen.before > 0))
		return;
	p->memory = memories[class];
	p->unit = square(s->weight);
	/* Of the same address one death a cell is seen. */
	p->turn = s->weight * -expm1(-turn_of(s, pool) * p->own / s->weight);
	k->beyond = age * s->deaths > AGES_MAX * s->ages;
	exposure_add(&k->seen, p, died, k->alive.v[CNT], others(s, class, CNT), looking);
	share = mortality(&k->seen, theirs, p);
	error = k->alive.v[CNT] > 0 ? mortality_error(&k->seen, theirs, p) : 0;
	compare(s, theirs, class, looking, p);
	note_lives(s, share, k->alive.v[CNT], died, age, p->own);
	for (enum figure f = 0; f < FIGURE_CNT; f++) {
		double unseen = share * k->alive.v[f] + -expm1(-p->turn) * others(s, class, f);

		leave_alive(k, f, share, error, p);
		leave_free(k, f, (1 - 1 / s->weight) * unseen, s->weight * s->replaced[class].v[f], p);
	}
	s->dead[class] = s->replaced[class] = (struct tally){{0}};
}

/*
 * Of a site's, those that look alive are fewer then; as all sites' are, in proportion, what is not found dead
 * has the larger share of what a walk counts.
 */
static void bury(struct cohort *k, const struct tally *block)
{
	tally_add(&k->free, block, -1);
	for (enum figure f = 0; f < FIGURE_CNT; f++) {
		double looking = fmax(k->looking.v[f], 0);

		if (looking + block->v[f] > 0)
			k->alive.v[f] *= looking / (looking + block->v[f]);
	}
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
	struct passage p = {.own = weight * progress, .reused = a->reused};

	s->weight = weight;
	p.stay = pool ? mortality_none(s->seen, s->as_pool, a->stay) : 0;
	for (int i = 0; i < COHORT_CNT; i++)
		cohort_dies(s, pool, a, i, &p);
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

/* What cells do not see is as they saw it, within what they differ by. */
void cohorts_born(struct cohorts *s, const struct tally *alive, const struct tally *usual, double weight)
{
	double size = alive->v[CNT] > 0 ? alive->v[BYTES] / alive->v[CNT] : 0;

	tally_add(&s->v[0].alive, alive, 1);
	tally_add(&s->v[0].looking, alive, 1);
	for (enum figure f = 0; f < FIGURE_CNT; f++) {
		double chance = weight * (f == BYTES ? size : 1) * alive->v[f];

		s->v[0].variance.v[f] += (1 - 1 / weight) * fmax(square(alive->v[f] - usual->v[f]), chance);
	}
}

void cohorts_short(struct cohorts *s, const struct tally *dead, double weight, double progress)
{
	double deaths = weight * dead->v[CNT];

	s->deaths += deaths;
	s->ages += deaths * progress / 4;
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
		if (s->v[i].looking.v[CNT] > 0 || s->v[i].seen.before > 0)
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

static double size_of(const struct cohorts *s)
{
	struct tally looking = {{0}};

	for (int i = 0; i < COHORT_CNT; i++)
		tally_add(&looking, &s->v[i].looking, 1);
	return looking.v[CNT] > 0 ? looking.v[BYTES] / looking.v[CNT] : 0;
}

/*
 * One that a cell saw stands for those that were born all the time from one cell to the next: some of them
 * have died before it, at the rate at which the others die after it.
 */
static double share_left(const struct cohort *k, const struct cohort *pool)
{
	return mortality_left(k->seen.before > 0 || !pool ? &k->seen : &pool->seen);
}

/* Of the blocks of an age, or bytes: alive, and how many of them are so by inference only. */
static double doubt_of(const struct cohort *k, double alive, enum figure f)
{
	if (!(k->looking.v[f] > 0))
		return 0;
	return alive * (k->beyond ? 1 : fmax(1 - alive / k->looking.v[f], 0));
}

struct living cohorts_living(const struct cohorts *s, const struct cohorts *pool, enum figure f)
{
	double size = f == BYTES ? size_of(s) : 1;
	struct living l = {.alive = 0};

	for (int i = 0; i < COHORT_CNT; i++) {
		const struct cohort *k = &s->v[i];
		double left = share_left(k, pool ? &pool->v[i] : NULL), alive = left * k->alive.v[f];

		l.alive += alive;
		l.doubt += doubt_of(k, alive, f);
		l.most += fmax(k->looking.v[f], 0);
		/* How many of them are left on average is one thing, how many just now another. */
		l.variance += square(left) * (k->variance.v[f] + k->spread.v[f]) + (1 - left) * alive * size;
	}
	l.may = l.most * exp(-s->seen / FEW);
	l.most += 2 * sqrt(s->weight * size * l.most);
	return l;
}

static void multiply(struct cohort *k, double times)
{
	for (enum figure f = 0; f < FIGURE_CNT; f++) {
		double most = fmax(k->looking.v[f] - k->free.v[f], k->alive.v[f]);

		k->alive.v[f] = fmin(times * k->alive.v[f], most);
		k->variance.v[f] *= fmin(square(times), 1);
		k->spread.v[f] *= fmin(square(times), 1);
	}
}

void cohorts_agree(struct cohorts *s, const struct cohorts *pool, double blocks)
{
	struct living l = cohorts_living(s, pool, CNT);

	for (int i = 0; i < COHORT_CNT && l.doubt > 0; i++) {
		struct cohort *k = &s->v[i];
		double alive = share_left(k, pool ? &pool->v[i] : NULL) * k->alive.v[CNT];

		if (alive > 0)
			multiply(k,
				 fmax(1 + (blocks - l.alive) / l.doubt * doubt_of(k, alive, CNT) / alive, 0));
	}
}

double cohorts_old_turn(const struct cohorts *s)
{
	for (int i = COHORT_CNT - 1; i > 0; i--)
		if (s->v[i].beyond && s->v[i].seen.died > 0 && s->v[i].seen.looking > 0)
			return s->v[i].seen.died / s->v[i].seen.looking;
	return 0;
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
