#include "heap/before.h"

#include <math.h>
#include <stdlib.h>

#define TOUCHED 0x10000u
#define RETIRED 0x20000u
#define TURN_ERROR 0.1 /* of deaths that are taken to be others' */
#define TURNS_MANY 8   /* … at an address: what has not died by then does not die as others do */
#define KEPT 0.95      /* of what the cells before said of others at their addresses */

/* Those of one size step. */
struct earlier {
	double found;         /* there were */
	double stand_for;     /* as many as one of the sample does */
	double touched;       /* addresses of the sample whose block is dead, and where no other was seen to die */
	double turned, lived; /* the first frees at these, and how long it took: × ns of own time */
	double touched_now, turned_now; /* in the cell that is on */
	/* Blocks: live as estimated; of the sample, those that nothing has shown to be dead; dead and in
	 * nobody's use. */
	double alive, looking, unused;
	double variance;
	double turned_away; /* deaths at its addresses that were taken to be others', ever */
	double turns;       /* how often others have died at an address, if they were there all the time */
	/* Since that is often: deaths, and as many as there should be of others only. */
	double died_lately, could;
	double died, replaced; /* seen, in the cell that is on */
};

struct before {
	bool walked, sampled;
	/* Address → its step, from 1 on; TOUCHED: the block is dead, others may be there; RETIRED: one of these
	   has died too. */
	struct map sample;
	struct earlier *steps[STEP_CNT]; /* NULL: none */
};

struct before *before_new(void)
{
	return calloc(1, sizeof(struct before));
}

void before_exec(struct before *b)
{
	for (unsigned i = 0; i < STEP_CNT; i++) {
		free(b->steps[i]);
		b->steps[i] = NULL;
	}
	map_free(&b->sample);
	b->sample = (struct map){.slots = NULL};
	/* What the new program has, it has allocated since. */
	b->walked = b->sampled = true;
}

void before_free(struct before *b)
{
	if (!b)
		return;
	before_exec(b);
	free(b);
}

static struct earlier *earlier_of(struct before *b, unsigned step)
{
	if (!b->steps[step])
		b->steps[step] = calloc(1, sizeof(*b->steps[step]));
	return b->steps[step];
}

/* Of a step's blocks as many are from before as of its sample. */
static void begin_step(struct before *b, unsigned step, double live, double sampled, double earlier)
{
	struct earlier *e;

	if (!(live > 0) || !(e = earlier_of(b, step)))
		return;
	e->found = sampled > 0 ? live * earlier / sampled : live;
	e->stand_for = earlier > 0 ? e->found / earlier : 0;
	e->alive = e->looking = e->stand_for * earlier;
}

static void begin(struct before *b, const struct heap_blocks live[STEP_CNT],
		  const struct block_sample *sample, const struct blocks *table)
{
	double sampled[STEP_CNT] = {0}, earlier[STEP_CNT] = {0};

	b->walked = true;
	b->sampled = sample->cnt > 0;
	for (size_t i = 0; i < sample->cnt; i++) {
		unsigned step = size_step(sample->v[i].size);

		sampled[step]++;
		if (!live[step].cnt || blocks_find(table, sample->v[i].addr) ||
		    map_set(&b->sample, sample->v[i].addr,
			    (void *)(uintptr_t)(step + 1))) /* NOLINT(performance-no-int-to-ptr) */
			continue;
		earlier[step]++;
	}
	for (unsigned i = 0; i < STEP_CNT; i++)
		begin_step(b, i, (double)live[i].cnt, sampled[i], earlier[i]);
}

static void mark(struct before *b, uint64_t addr, unsigned step, unsigned state)
{
	/* It is there: nothing that needs memory. */
	map_set(&b->sample, addr, (void *)(uintptr_t)(step + 1 + state)); /* NOLINT(performance-no-int-to-ptr) */
}

static void leaves(struct earlier *e, enum cohort_end end, bool sure)
{
	double were = e->looking;

	e->looking = fmax(e->looking - e->stand_for, 0);
	e->touched++;
	e->touched_now += !sure;
	if (sure)
		e->alive *= e->looking / were;
	else if (end == COHORT_DIED)
		e->died += e->stand_for;
	else if (end == COHORT_REPLACED)
		e->replaced += e->stand_for;
	else
		e->unused = fmax(e->unused - e->stand_for, 0);
}

void before_left(struct before *b, uint64_t addr, enum cohort_end end, bool sure)
{
	size_t found = b->sample.cnt ? (size_t)map_get(&b->sample, addr) : 0;
	struct earlier *e;

	if (!found)
		return;
	e = b->steps[(found - 1) % TOUCHED];
	if (!e) /* no memory */
		return;
	if (found > RETIRED || (found > TOUCHED && end != COHORT_DIED))
		return;
	if (found > TOUCHED) {
		e->turned_now++;
		e->touched--;
		mark(b, addr, (unsigned)(found - 1) % TOUCHED, RETIRED);
		return;
	}
	leaves(e, end, sure);
	mark(b, addr, (unsigned)found - 1, TOUCHED);
}

static void bury(struct before *b, const struct heap_pages *pages)
{
	for (size_t i = 0; i < b->sample.cap; i++) {
		size_t found = (size_t)b->sample.slots[i].value;

		if (found && found < TOUCHED && heap_pages_judge(pages, b->sample.slots[i].key) == HEAP_DEAD)
			before_left(b, b->sample.slots[i].key, COHORT_BURIED, false);
	}
}

void before_walked(struct before *b, const struct heap_blocks live[STEP_CNT], const struct heap_pages *pages,
		   const struct blocks *table)
{
	if (!b->walked)
		begin(b, live, &pages->sample, table);
	else if (pages->finished)
		bury(b, pages);
}

/*
 * What others there are die often enough to tell what share of the addresses that look alive is theirs: as
 * many die there as at those of which nothing was seen for as long, but were seen to be taken. Others, where
 * something was seen, are those that are used again soonest. Before that there is as much as deaths leave.
 */
static void look_at_turns(struct earlier *e, double weight, double turn, double old_turn)
{
	e->turns += turn;
	if (e->turns < TURNS_MANY)
		return;
	if (old_turn > 0)
		turn = fmin(turn, old_turn);
	e->died_lately = e->died_lately * KEPT + weight * e->died;
	e->could = e->could * KEPT + turn * (e->looking + e->died - e->unused);
	if (e->could > 0)
		e->alive = fmax(1 - e->died_lately / e->could, 0) * (e->looking - e->unused);
}

/*
 * Of what has died in a cell, some were others at addresses of blocks that are dead: as soon as is seen
 * where that is known, by the first of them only. Others die at such an address again and again, the sooner
 * where short lives are; where nothing was seen yet, there are fewer of these. What is left are own ones;
 * their chance has no bias, so that they may be less than none.
 */
static void pass(struct earlier *e, const struct ages *ages, double weight, double progress)
{
	double own = weight * progress, turn, others, died = weight * e->died, unseen;

	e->turned = e->turned * KEPT + weight * e->turned_now;
	e->lived = e->lived * KEPT + own * fmax(e->touched - e->touched_now, 0);
	turn = e->lived > 0 ? weight * -expm1(-e->turned / e->lived * own / weight) : 0;
	others = fmax(e->looking + e->died + e->replaced - e->alive - e->unused, 0);
	died = (died - turn * others) / (1 + turn * ages->reused / 2);
	unseen = (1 - 1 / weight) * (fmax(died, 0) + -expm1(-turn) * others);
	/* Not so far that chance could never make up for it. */
	e->alive = fmin(fmax(e->alive - died, -e->looking), e->looking);
	e->turned_away += turn * others;
	look_at_turns(e, weight, turn, ages->old_turn * own);
	e->variance += weight * weight * e->died * e->died;
	e->unused += (1 - ages->reused) * unseen - weight * e->replaced;
	e->unused = fmin(fmax(e->unused, 0), e->looking);
	e->touched_now = e->turned_now = e->died = e->replaced = 0;
}

void before_pass(struct before *b, const struct ages *ages, double weight, double progress)
{
	for (unsigned i = 0; i < STEP_CNT; i++)
		if (b->steps[i])
			pass(b->steps[i], ages, weight, progress);
}

bool before_is_sampled(const struct before *b)
{
	return b->sampled;
}

double before_found(const struct before *b, unsigned step)
{
	return b->steps[step] ? b->steps[step]->found : 0;
}

struct living before_living(const struct before *b, unsigned step)
{
	const struct earlier *e = b->steps[step];
	struct living l = {.alive = 0};

	if (!e)
		return l;
	l.alive = fmin(fmax(e->alive, 0), e->looking);
	l.most = e->looking;
	l.variance = fmin(e->variance, e->looking * e->looking);
	if (e->looking > 0)
		l.doubt = fmin(l.alive * (1 - l.alive / e->looking) + TURN_ERROR * e->turned_away, l.alive);
	return l;
}
