#include "heap/cohorts.h"

#include <math.h>

#define SINGLES 4 /* classes of one cell each; of the others each is twice as long as the one before */
#define SPREAD 0.4 /* of the variance that deaths had if all cells that they are summed over had the same error: by simulation */
#define FEW 3.0 /* deaths seen of a site that say that it does die: by e each less may be alive */
#define BORROWED 0.25 /* deaths, of all sites together, that those of a site tell beside how long its blocks live */
#define AGES_MAX                                                                                             \
	4 /* mean ages at death: what is older may never die, and does not count for the mean life           \
	   */

/*
 * Cells that deaths of a class are pooled over. The young die in a few cells: one alone says little of them.
 * Of the old, what a site did a while ago is not what it does now.
 */
static const double memories[COHORT_CNT] = {40, 40, 40, 40, 16, 8, 8, 8, 8, 16, 16, 32};

static double square(double v)
{
	return v * v;
}

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
	double borrowed = pool && pool->turned > 0 ? BORROWED : 0, lived = s->lived;

	if (borrowed > 0)
		lived += borrowed * pool->lived / pool->turned;
	return lived > 0 ? (s->turned + borrowed) / lived : 0;
}

/* Deaths at the site's addresses, and as many as there would be if they were the pool's. */
static void compare(struct cohorts *s, const struct cohorts *pool, int class, double looking, const struct passage *p)
{
	const struct cohort *theirs = pool ? &pool->v[class] : NULL;
	struct cohort *k = &s->v[class];

	k->could = (float)((1 - 1 / p->memory) * k->could + looking * p->own);
	s->seen += s->dead[class].v[CNT] / s->weight;
	if (theirs && theirs->could > 0)
		s->as_pool += theirs->seen[CNT].died / theirs->could * looking * p->own / p->unit;
}

/* As much as deaths of one figure leave alive. */
static void leave_alive(struct cohorts *s, const struct cohorts *pool, int class, enum figure f, double share,
			const struct passage *p)
{
	struct cohort *k = &s->v[class];
	const struct exposure *seen = &k->seen[f];
	double error = k->alive.v[f] * mortality_error(seen, pool ? &pool->v[class].seen[f] : NULL, p);
	double in_use = k->looking.v[f] - k->free.v[f];

	k->alive.v[f] *= 1 - share;
	k->variance.v[f] *= square(1 - share);
	k->spread.v[f] = k->spread.v[f] * square(1 - share) + SPREAD * p->memory * square(error);
	if (k->beyond && p->turn > 0 && seen->before + seen->others > 0) {
		double taken = seen->died / (seen->before + seen->others) * p->own / p->turn;

		k->alive.v[f] = fmin(k->alive.v[f], fmax((1 - taken) * in_use, 0));
	}
	k->alive.v[f] = fmax(k->alive.v[f], p->stay * in_use);
}

static void figure_dies(struct cohorts *s, const struct cohorts *pool, int class, enum figure f, double age,
			const struct passage *p)
{
	struct cohort *k = &s->v[class];
	double seen = s->dead[class].v[f], died = s->weight * seen, replaced = s->replaced[class].v[f];
	double alive = k->alive.v[f], looking = k->looking.v[f] + seen + replaced, share, unseen;
	double others = fmax(looking - alive - k->free.v[f], 0);

	if (!(k->looking.v[f] + seen > 0) && !(k->seen[f].before > 0))
		return;
	exposure_add(&k->seen[f], p, died, alive, others);
	share = mortality(&k->seen[f], pool ? &pool->v[class].seen[f] : NULL, p);
	k->seen[f].share = (float)share;
	if (f == CNT) {
		compare(s, pool, class, looking, p);
		note_lives(s, share, alive, died, age, p->own);
	}
	leave_alive(s, pool, class, f, share, p);
	unseen = (1 - 1 / s->weight) * (share * alive + -expm1(-p->turn) * others);
	k->free.v[f] += (1 - p->reused) * unseen - s->weight * replaced;
	k->free.v[f] = fmin(fmax(k->free.v[f], 0), fmax(k->looking.v[f] - k->alive.v[f], 0));
}

static void cohort_dies(struct cohorts *s, const struct cohorts *pool, const struct ages *a, int class,
			struct passage *p)
{
	struct cohort *k = &s->v[class];
	double size = k->looking.v[CNT] > 0 ? k->looking.v[BYTES] / k->looking.v[CNT] : 0, age = age_of(a, class);

	p->memory = memories[class];
	/* Of the same address one death a cell is seen. */
	p->turn = s->weight * -expm1(-turn_of(s, pool) * p->own / s->weight);
	k->beyond = age * s->deaths > AGES_MAX * s->ages;
	for (enum figure f = 0; f < FIGURE_CNT; f++) {
		p->unit = square(s->weight) * (f == BYTES ? size : 1);
		figure_dies(s, pool, class, f, age, p);
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
	double deaths = weight * dead->v[CNT], lived = deaths * progress / 4;

	s->deaths += deaths;
	s->ages += lived;
	s->turned += deaths;
	s->lived += lived;
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
		if (s->v[i].looking.v[CNT] > 0 || s->v[i].seen[CNT].before > 0)
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
 * One that a cell saw stands for those that were born all the time from one cell to the next: some of them have died
 * before it, at the rate at which the others die after it.
 */
static double share_left(const struct cohort *k, const struct cohort *pool, enum figure f)
{
	return mortality_left(k->seen[f].before > 0 || !pool ? k->seen[f].share : pool->seen[f].share);
}

struct living cohorts_living(const struct cohorts *s, const struct cohorts *pool, enum figure f)
{
	struct living l = {.alive = 0};
	double unit;

	for (int i = 0; i < COHORT_CNT; i++) {
		const struct cohort *k = &s->v[i];
		double left = share_left(k, pool ? &pool->v[i] : NULL, f), alive = left * k->alive.v[f];

		l.alive += alive;
		if (k->looking.v[f] > 0)
			l.doubt += alive * (k->beyond ? 1 : fmax(1 - alive / k->looking.v[f], 0));
		l.most += fmax(k->looking.v[f], 0);
		l.variance += square(left) * (k->variance.v[f] + k->spread.v[f]);
	}
	l.may = l.most * exp(-s->seen / FEW);
	unit = s->weight * (f == BYTES ? size_of(s) : 1);
	l.most += 2 * sqrt(unit * l.most);
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
