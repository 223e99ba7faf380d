/* What is live by size step, and what a walk that has counted the same makes of it. */
#include "heap/cells.h"

#include <math.h>
#include <stdlib.h>

#include "heap/cells_book.h"
#include "heap/raking.h"

#define BEFORE UINT32_MAX /* the owner of parts from before the attach */
#define BORN_DOUBT                                                                                           \
	1e-4 /* of what was born lately: where nothing else is known, what is live is shared out by it */
#define STAY                                                                                                 \
	0.03 /* of what is live, that sites have of which nothing ever dies, before they were looked at */
#define FAR_MORE 1e6 /* doubt of what is not known at all, beside what is estimated */

static struct site_step *find_step(struct site_cells *s, unsigned step)
{
	for (unsigned i = 0; i < s->step_cnt; i++)
		if (s->steps[i].step == step)
			return &s->steps[i];
	if (s->step_cnt == s->step_cap) {
		uint16_t cap = s->step_cap ? 2 * s->step_cap : 2;
		struct site_step *steps = realloc(s->steps, cap * sizeof(*steps));

		if (!steps)
			return NULL;
		s->steps = steps;
		s->step_cap = cap;
	}
	s->steps[s->step_cnt] = (struct site_step){.step = (uint16_t)step};
	return &s->steps[s->step_cnt++];
}

void cells_step(struct cells *c, struct site_cells *s, uint64_t size, const struct tally *looking,
		const struct tally *young)
{
	struct site_step *step = find_step(s, size_step(*c->rounded ? (*c->rounded)(size) : size));

	if (!step)
		return;
	if (looking)
		tally_add(&step->looking, looking, 1);
	if (young)
		tally_add(&step->young, young, 1);
}

static double kept_of_born(const struct cells *c, const struct site_step *step)
{
	return exp(-(double)(c->ages.cells - step->born_at) / BORN_CELLS);
}

void cells_step_born(struct cells *c, struct site_cells *s, uint64_t size, struct site_count counts)
{
	struct site_step *step = find_step(s, size_step(*c->rounded ? (*c->rounded)(size) : size));
	double kept, weight = fmax(c->ages.weight, 1);

	if (!step)
		return;
	kept = kept_of_born(c, step);
	step->born = kept * step->born + weight * (double)counts.cnt;
	step->born_bytes = kept * step->born_bytes + weight * (double)counts.bytes;
	step->born_at = c->ages.cells;
}

/* Parts of all sites; size: bytes of a block, as asked for. */
struct parts {
	struct rake_part *v;
	size_t cnt;
};

static size_t count_steps(const struct cells *c)
{
	size_t cnt = 0;

	for (uint32_t i = 0; i < c->v_cnt; i++)
		cnt += c->v[i].step_cnt;
	return cnt + STEP_CNT;
}

static double part_of(double v, double sum)
{
	return v > 0 && sum > 0 ? v / sum : 0;
}

/* Bytes of a block, as asked for. */
static double size_of(const struct site_step *step)
{
	double cnt = step->looking.v[CNT] + step->young.v[CNT];

	return cnt > 1 ? (step->looking.v[BYTES] + step->young.v[BYTES]) / cnt
		       : part_of(step->born_bytes, step->born);
}

/* A site's live blocks as its cells tell, shared out to steps as those that look alive and those that are
 * young are. */
static void add_site(struct cells *c, struct parts *p, uint32_t number)
{
	struct site_cells *s = &c->v[number];
	double looking = 0, young = 0, alive;
	struct living live;

	cells_catch_up(c, s);
	s->raked = false;
	live = cells_seen_living(c, s, CNT);
	alive = live.alive - cells_young(c, s, CNT);
	for (unsigned i = 0; i < s->step_cnt; i++) {
		looking += fmax(s->steps[i].looking.v[CNT], 0);
		young += fmax(s->steps[i].young.v[CNT], 0);
	}
	for (unsigned i = 0; i < s->step_cnt; i++) {
		const struct site_step *step = &s->steps[i];
		double born = BORN_DOUBT * kept_of_born(c, step) * step->born;
		double there = alive * part_of(step->looking.v[CNT], looking) +
			       (live.alive - alive) * part_of(step->young.v[CNT], young);
		double share = part_of(there, live.alive);

		if (!(there + born > 0))
			continue;
		p->v[p->cnt++] = (struct rake_part){
			.owner = number,
			.step = (uint16_t)(*c->rounded ? step->step : 0),
			.size = size_of(step),
			.was = there,
			.doubt = share * live.doubt + born,
			.variance = share * share * live.variance,
			.most = INFINITY,
		};
	}
}

/* Those from before the attach. Without a sample, they are what there is too much, as far as there were so
 * many. */
static void add_before(const struct cells *c, struct parts *p, unsigned step)
{
	double found = before_found(c->before, step);
	struct living live = before_living(c->before, step);
	struct rake_part part = {
		.owner = BEFORE,
		.step = (uint16_t)(*c->rounded ? step : 0),
		.was = live.alive,
		.doubt = live.doubt,
		.variance = live.variance,
		.most = found,
	};

	if (!(found > 0))
		return;
	if (!before_is_sampled(c->before)) {
		part.was = found;
		part.doubt = FAR_MORE * found;
		part.variance = found * found;
	}
	p->v[p->cnt++] = part;
}

static int by_step(const void *x, const void *y)
{
	const struct rake_part *a = x, *b = y;

	return a->step != b->step ? (a->step > b->step) - (a->step < b->step)
				  : (a->owner > b->owner) - (a->owner < b->owner);
}

/* What is wrong with a site's parts is wrong with all of them alike: standard errors add up. */
static void book_part(struct cells *c, const struct rake_part *part)
{
	struct site_cells *s;

	if (part->owner == BEFORE) {
		c->all_left += part->left;
		return;
	}
	s = &c->v[part->owner];
	if (!s->raked) {
		s->walked = s->most = (struct tally){{0}};
		s->left = 0;
		s->raked = true;
	}
	s->walked.v[CNT] += part->is;
	s->walked.v[BYTES] += part->is * part->size;
	s->left = pow(sqrt(s->left) + sqrt(part->left), 2);
	s->most.v[CNT] += part->total;
	s->most.v[BYTES] += part->total * part->size;
}

static void rake_all(const struct cells *c, struct parts *p, const struct heap_blocks live[STEP_CNT])
{
	double all = 0;

	for (unsigned i = 0; i < STEP_CNT; i++)
		all += (double)live[i].cnt;
	qsort(p->v, p->cnt, sizeof(*p->v), by_step);
	for (size_t i = 0, end; i < p->cnt; i = end) {
		for (end = i; end < p->cnt && p->v[end].step == p->v[i].step;)
			end++;
		rake(p->v + i, end - i, *c->rounded ? (double)live[p->v[i].step].cnt : all);
	}
}

/* As much looks alive at most that is so only where nothing dies: then it must not be likely of many. */
static double odds_of_staying(const struct cells *c, const struct parts *p)
{
	double live = 0, looking = 0;

	for (size_t i = 0; i < p->cnt; i++)
		live += p->v[i].owner == BEFORE ? 0 : p->v[i].is;
	for (int i = 0; i < COHORT_CNT; i++)
		looking += c->all.cohorts.v[i].looking.v[CNT];
	return looking > 0 ? STAY * live / looking : 0;
}

/* Cells go on from what was found. */
static void agree(struct cells *c)
{
	double all = 0;

	for (uint32_t i = 0; i < c->v_cnt; i++) {
		struct site_cells *s = &c->v[i];
		struct tally before = cohorts_alive(&s->cohorts);
		double old = fmax(s->walked.v[CNT] - cells_young(c, s, CNT), 0);

		if (!s->raked)
			continue;
		cohorts_agree(&s->cohorts, &c->all.cohorts, old);
		cells_count_alive(c, s, before);
		all += old;
	}
	cohorts_agree(&c->all.cohorts, NULL, all);
}

void cells_walked(struct cells *c, const struct heap_blocks live[STEP_CNT])
{
	struct parts p = {.v = calloc(count_steps(c) + 1, sizeof(*p.v))};

	if (!p.v)
		return;
	for (uint32_t i = 0; i < c->v_cnt; i++)
		add_site(c, &p, i);
	for (unsigned i = 0; i < STEP_CNT; i++)
		add_before(c, &p, i);
	rake_all(c, &p, live);
	c->all_left = 0;
	for (size_t i = 0; i < p.cnt; i++)
		book_part(c, &p.v[i]);
	c->ages.stay = odds_of_staying(c, &p);
	c->counted = 0;
	for (unsigned i = 0; i < STEP_CNT; i++)
		c->counted += (double)live[i].bytes;
	c->walked = 0;
	c->walked_cell = c->ages.cells;
	agree(c);
	for (uint32_t i = 0; i < c->v_cnt; i++)
		c->walked += cells_living(c, &c->v[i], BYTES).alive;
	free(p.v);
}
