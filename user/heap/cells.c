#include "heap/cells.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "heap/estimate.h"
#include "heap/sampling.h"

#define CLASSES 12       /* of ages, in cells that were on: the first ones of one cell each, */
#define SINGLES 4        /* … so many, and then each twice as long as the one before */
#define UNSEEN_DEATHS 0.1 /* of one a cell, that a figure of deaths may be wrong by */
#define SPREAD 0.3          /* of the variance that deaths would have if each cell's were a chance of its own; by simulation */
#define YOUNG_CELLS 8.0  /* that the mean of the young is of */
#define SHORT_SHARE 0.02 /* of blocks that died in their cell: from there on a site's are looked at in halves */
#define AGES_MAX 4         /* mean ages at death: what is older may never die, and does not count for the mean life */
#define NONE_SEEN 3.69     /* as many of mean 1 that none may be seen of, 97.5 % */
#define REUSE_LOOKS 512  /* addresses a cell */

enum { CNT, BYTES, FIGURES };

struct tally {
	double v[FIGURES];
};

/* Blocks of an age, by weight. */
struct cohort {
	struct tally alive;    /* as estimated */
	struct tally looking;  /* that nothing has shown to be dead */
	struct tally free;     /* of looking, those that are dead and whose addresses nobody has taken */
	struct tally variance; /* of alive, by chance of births */
	struct tally spread;   /* … of deaths */
	/* Means over cells: deaths by weight, their squares, of them those of others, and alive before. */
	float died[FIGURES], died_squares[FIGURES], others[FIGURES], before[FIGURES];
};

struct site_cells {
	double born[FIGURES][ESTIMATE_GROUPS], freed_here[FIGURES][ESTIMATE_GROUPS]; /* Σ weight × seen, by group */
	struct tally temporary;
	struct tally seen_born, seen_temporary; /* in cells that were not sure, unweighed */
	struct tally gone; /* neither freed nor live any more */
	struct tally peak; /* live when all was highest */
	struct tally scaled_here; /* that the site's own figure has of cells that were not sure, by weight */
	struct cohort cohorts[CLASSES];
	struct tally young, young_squares; /* alive at a cell's end and born in its second half: means over the last cells */
	uint64_t at;          /* cells that cohorts have come through */
	double deaths, ages;  /* weighed deaths, and the sum of the ages that they died at, ns of own time */
	double turned, lived; /* of those not much older: deaths, and how long they had lived altogether */
	uint64_t young_cell;
	double born_cnt, short_cnt; /* ever in cells, and of these that died there */
	/* In the cell that is on. */
	struct tally now_born, now_freed_here, now_temporary, now_short, now_dead[CLASSES], now_replaced[CLASSES], now_alive, now_young;
	bool touched;
};

struct birth {
	uint64_t addr;
	uint64_t at; /* events of the cell before it */
};

struct cells {
	struct sites *sites;
	struct blocks *blocks;
	struct weighing weighing;
	bool on, sure;
	unsigned group;
	uint32_t tick, last_tick;
	uint64_t mean;               /* of sampled stacks in this cell */
	uint64_t events;             /* in this cell */
	uint64_t cnt;                /* cells that have ended and were not sure */
	uint32_t from[CLASSES];      /* the least tick of blocks of that class */
	double from_own[CLASSES];    /* … and own time */
	double stands_for;           /* ns of own time that a cell stands for, lately */
	double progress;             /* ns, of the cell */
	double weight;               /* of the last one */
	struct site_cells *v, all;   /* all: sums only, it has no cohorts */
	struct tally alive, peak;    /* of all sites */
	uint64_t peak_ns;
	uint32_t v_cnt;
	uint32_t *touched;
	uint32_t touched_cnt, touched_cap;
	struct birth *births;
	size_t birth_cnt, birth_cap;
	struct birth dead[REUSE_LOOKS];
	unsigned dead_cnt;
	double dead_looked, reused;
};

static void add(struct tally *t, const struct tally *more, double times)
{
	t->v[CNT] += times * more->v[CNT];
	t->v[BYTES] += times * more->v[BYTES];
}

static struct tally of_count(struct site_count c)
{
	return (struct tally){{(double)c.cnt, (double)c.bytes}};
}

static int make_room(struct cells *c, uint32_t site)
{
	uint32_t cnt = sites_cnt(c->sites);
	struct site_cells *v;

	if (site < c->v_cnt)
		return 0;
	if (cnt < 2 * c->v_cnt)
		cnt = 2 * c->v_cnt;
	if (cnt <= site)
		cnt = site + 1;
	v = realloc(c->v, cnt * sizeof(*v));
	if (!v)
		return -1;
	memset(v + c->v_cnt, 0, (cnt - c->v_cnt) * sizeof(*v));
	c->v = v;
	c->v_cnt = cnt;
	return 0;
}

static void begin_exact(struct site_cells *s, const struct site *site)
{
	struct cohort *old = &s->cohorts[CLASSES - 1];

	old->alive = old->looking = of_count(site->live);
	s->gone.v[CNT] = (double)site->allocated.cnt - (double)site->freed.cnt - (double)site->live.cnt;
	s->gone.v[BYTES] = (double)site->allocated.bytes - (double)site->freed.bytes - (double)site->live.bytes;
}

struct cells *cells_new(struct sites *sites, struct blocks *blocks)
{
	struct cells *c = calloc(1, sizeof(*c));
	uint32_t cnt = sites_cnt(sites);

	if (!c)
		return NULL;
	c->sites = sites;
	c->blocks = blocks;
	if (make_room(c, cnt - 1)) {
		free(c);
		return NULL;
	}
	for (uint32_t i = 0; i < cnt; i++) {
		begin_exact(&c->v[i], sites_at(sites, i));
		add(&c->all.gone, &c->v[i].gone, 1);
		add(&c->alive, &c->v[i].cohorts[CLASSES - 1].alive, 1);
	}
	return c;
}

void cells_free(struct cells *c)
{
	if (!c)
		return;
	free(c->v);
	free(c->touched);
	free(c->births);
	free(c);
}

uint32_t cells_tick(const struct cells *c)
{
	return c->tick;
}

void cells_begin(struct cells *c, const struct event_cell *begin, uint32_t tick)
{
	weighing_begin(&c->weighing, begin);
	c->on = true;
	c->sure = weighing_is_sure(begin);
	c->group = estimate_group(begin->number);
	c->tick = tick > c->last_tick ? tick : c->last_tick + 1;
	c->last_tick = c->tick;
	c->mean = begin->sample_bytes;
	c->events = 0;
	if (!c->cnt)
		for (int i = 0; i < CLASSES; i++)
			c->from[i] = c->from[i] ? c->from[i] : c->tick;
}

static double stack_scale(const struct cells *c, const struct block *block)
{
	if (!c->mean)
		return 1;
	return block->site ? sampling_scale(c->mean, block->size) : 0;
}

static unsigned weight_code(double weight, uint64_t salt)
{
	return weight > 0 ? BLOCK_WEIGHT + estimate_code(weight, salt) : BLOCK_NOTHING;
}

void cells_weigh(const struct cells *c, struct block *block)
{
	if (block->tick < c->tick)
		block->tick = c->tick;
	if (c->on && !c->sure) {
		block->group = c->group + 1;
		block->weight = BLOCK_OF_CELL;
	} else if (c->on) {
		block->weight = weight_code(stack_scale(c, block), block->addr);
	} else {
		/* It was on its way when the cell ended: of a few too many. */
		block->weight = BLOCK_NOTHING;
	}
}

struct site_count cells_at_site(const struct cells *c, const struct block *block)
{
	double scale;

	if (block->weight == BLOCK_NOTHING)
		return (struct site_count){0};
	if (block->weight == BLOCK_OF_CELL)
		scale = block->tick >= c->tick ? stack_scale(c, block) : 0;
	else
		scale = estimate_weight((unsigned)block->weight - BLOCK_WEIGHT);
	return sampling_count(scale, block->size, block->addr);
}

/* After how many cells each a class is that of the next age. */
static uint64_t every(int class)
{
	return class < SINGLES ? 1 : 1ULL << (class - SINGLES + 2);
}

/* Own time that blocks of a class were born at, about. */
static double class_own(const struct cells *c, int class)
{
	double to = class ? c->from_own[class - 1] : c->weighing.own;

	return (c->from_own[class] + to) / 2;
}

/* How many of those that die have their address taken by others at once. */
static double reuse(const struct cells *c)
{
	return (c->reused + 0.5) / (c->dead_looked + 1);
}

/*
 * What share of a cohort died in that time, when `died` (of one that is alive) were seen to: in the meantime its own
 * and, of those that came after them, as many as die at `turn` a life; taken: that were there before.
 */
static double share_of_own(double died, double taken, double turn, double reused)
{
	double low = 0, high = 1;

	/* Too many were taken for dead before, or it is chance, of which only one half may not be left away. */
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

/* Deaths of a class in a cell, and at what age. */
static const double memories[CLASSES] = {40, 40, 40, 40, 16, 8, 8, 8, 8, 16, 16, 32};

static void cohort_dies(const struct cells *c, struct site_cells *s, int class, double weight, double own)
{
	struct cohort *k = &s->cohorts[class];
	const struct tally *dead = &s->now_dead[class], *replaced = &s->now_replaced[class];
	double memory = memories[class], reused = reuse(c), turn = s->lived > 0 ? s->turned / s->lived * own : 0;
	double age = fmax(c->weighing.own - class_own(c, class), 0);
	double size = k->looking.v[CNT] > 0 ? k->looking.v[BYTES] / k->looking.v[CNT] : 0;

	turn = weight * -expm1(-turn / weight);

	for (int f = 0; f < FIGURES; f++) {
		double died = weight * dead->v[f], alive = k->alive.v[f], share, keep, error, taken, unit, unseen;

		if (!(k->looking.v[f] + dead->v[f] > 0) && !(k->before[f] > 0))
			continue;
		taken = fmax(k->looking.v[f] + dead->v[f] + replaced->v[f] - alive - k->free.v[f], 0);
		keep = 1 - 1 / memory;
		k->died_squares[f] = (float)(keep * k->died_squares[f] + died * died);
		k->died[f] = (float)(keep * k->died[f] + died);
		k->others[f] = (float)(keep * k->others[f] + taken * own);
		k->before[f] = (float)(keep * k->before[f] + alive * own);
		share = 0;
		if (k->before[f] > 0) {
			share = share_of_own(k->died[f] / k->before[f] * own, k->others[f] / k->before[f], turn, reused);
			unit = weight * weight * (f == BYTES ? size : 1);
			error = alive / k->before[f] * own;
			error *= error * (k->died_squares[f] + UNSEEN_DEATHS * memory * unit * unit);
			k->alive.v[f] = fmin(alive * (1 - share), fmax(k->looking.v[f], 0));
			share = fmax(share, 0);
			k->variance.v[f] *= (1 - share) * (1 - share);
			k->spread.v[f] = k->spread.v[f] * (1 - share) * (1 - share) + SPREAD * memory * error;
		}
		if (f == CNT && alive > 0) {
			double theirs = fmin(share * alive, died);

			s->deaths += theirs;
			s->ages += theirs * age;
			if (age * s->deaths <= AGES_MAX * s->ages) {
				s->turned += share * alive;
				s->lived += alive * own * (share > 0.01 ? share / -log1p(-fmin(share, 0.999)) : 1);
			}
		}
		if (age * s->deaths > AGES_MAX * s->ages && turn > 0 && k->before[f] + k->others[f] > 0) {
			double occupied = k->died[f] / (k->before[f] + k->others[f]) * own / turn;

			k->alive.v[f] = fmin(k->alive.v[f],
					     fmax((1 - occupied) * (k->looking.v[f] - k->free.v[f]), 0));
		}
		unseen = (1 - 1 / weight) * (share * alive + -expm1(-turn) * taken);
		k->free.v[f] += (1 - reused) * unseen - weight * replaced->v[f];
		k->free.v[f] = fmin(fmax(k->free.v[f], 0), fmax(k->looking.v[f] - k->alive.v[f], 0));
	}
}

static double square(double v)
{
	return v * v;
}

static void grow_older(struct site_cells *s, int class)
{
	struct cohort *from = &s->cohorts[class], *to = from + 1;

	for (int f = 0; f < FIGURES; f++) {
		/* What is wrong with deaths that are pooled is wrong in the same way for all that they are pooled of. */
		if (memories[class] > (double)every(class))
			to->spread.v[f] = square(sqrt(to->spread.v[f]) + sqrt(from->spread.v[f]));
		else
			to->spread.v[f] += from->spread.v[f];
	}
	add(&to->alive, &from->alive, 1);
	add(&to->looking, &from->looking, 1);
	add(&to->free, &from->free, 1);
	add(&to->variance, &from->variance, 1);
	from->alive = from->looking = from->free = from->variance = from->spread = (struct tally){{0}};
}

/* Cohorts go through a cell, the next one that they have not been through. */
static void step(const struct cells *c, struct site_cells *s, double weight, double own)
{
	for (int i = 0; i < CLASSES; i++)
		cohort_dies(c, s, i, weight, own);
}

static void step_over(const struct cells *c, struct site_cells *s)
{
	for (int i = CLASSES - 2; i >= 0; i--)
		if (s->at % every(i) == 0)
			grow_older(s, i);
	(void)c;
}

static struct tally alive_of(const struct site_cells *s)
{
	struct tally t = {{0}};

	for (int i = 0; i < CLASSES; i++)
		add(&t, &s->cohorts[i].alive, 1);
	return t;
}

static void count_alive(struct cells *c, const struct site_cells *s, struct tally before)
{
	struct tally t = alive_of(s);

	add(&c->alive, &t, 1);
	add(&c->alive, &before, -1);
}

static bool has_cohorts(const struct site_cells *s)
{
	for (int i = 0; i < CLASSES; i++)
		if (s->cohorts[i].looking.v[CNT] > 0 || s->cohorts[i].before[CNT] > 0)
			return true;
	return false;
}

/* Cells in which nothing of a site was seen. */
static void catch_up(struct cells *c, struct site_cells *s)
{
	struct tally before = alive_of(s);

	if (s->at < c->cnt && !has_cohorts(s))
		s->at = c->cnt;
	while (s->at < c->cnt) {
		step(c, s, 2, c->stands_for);
		s->at++;
		step_over(c, s);
	}
	count_alive(c, s, before);
}

static struct site_cells *touch(struct cells *c, uint32_t site)
{
	if (make_room(c, site))
		return NULL;
	catch_up(c, &c->v[site]);
	if (c->v[site].touched)
		return &c->v[site];
	if (c->touched_cnt == c->touched_cap) {
		uint32_t cap = c->touched_cap ? 2 * c->touched_cap : 256;
		uint32_t *touched = realloc(c->touched, cap * sizeof(*touched));

		if (!touched)
			return NULL;
		c->touched = touched;
		c->touched_cap = cap;
	}
	c->touched[c->touched_cnt++] = site;
	c->v[site].touched = true;
	return &c->v[site];
}

static void note_birth(struct cells *c, uint64_t addr)
{
	if (c->birth_cnt == c->birth_cap) {
		size_t cap = c->birth_cap ? 2 * c->birth_cap : 1024;
		struct birth *births = realloc(c->births, cap * sizeof(*births));

		if (!births)
			return;
		c->births = births;
		c->birth_cap = cap;
	}
	c->births[c->birth_cnt++] = (struct birth){.addr = addr, .at = c->events};
}

void cells_born(struct cells *c, const struct block *block, struct site_count counts, bool tracked)
{
	struct site_cells *s = touch(c, block->site);
	struct tally t = of_count(counts);

	if (!s)
		return;
	c->events++;
	if (block->tick > c->last_tick)
		c->last_tick = block->tick;
	add(&s->now_born, &t, 1);
	add(&c->all.now_born, &t, 1);
	if (!tracked)
		return;
	if (c->on && !c->sure) {
		note_birth(c, block->addr);
	} else {
		add(&s->now_alive, &t, 1);
	}
}

static unsigned class_of(const struct cells *c, uint32_t tick)
{
	unsigned class = 0;

	while (class < CLASSES - 1 && tick < c->from[class])
		class++;
	return class;
}

void cells_left(struct cells *c, const struct block *block, struct site_count counts, enum cells_leave why)
{
	bool freed = why == CELLS_FREED || why == CELLS_TEMPORARY;
	struct site_cells *s = touch(c, block->site);
	struct tally t = of_count(counts);
	unsigned class = class_of(c, block->tick);

	if (!s)
		return;
	c->events += freed;
	if (freed && c->dead_cnt < REUSE_LOOKS)
		c->dead[c->dead_cnt++] = (struct birth){.addr = block->addr, .at = c->events};
	if (why == CELLS_TEMPORARY) {
		add(&s->now_temporary, &t, 1);
		add(&c->all.now_temporary, &t, 1);
	}
	if (block->tick >= c->tick) {
		add(&s->now_short, &t, 1);
		add(&c->all.now_short, &t, 1);
		if (!c->on || c->sure) {
			add(&s->now_alive, &t, -1);
		}
		return;
	}
	add(&s->cohorts[class].looking, &t, -1);
	if (freed) {
		add(&s->now_dead[class], &t, 1);
	} else if (why == CELLS_REPLACED) {
		add(&s->now_replaced[class], &t, 1);
	} else {
		add(&s->cohorts[class].free, &t, -1);
	}
}

void cells_freed_here(struct cells *c, uint32_t site, struct site_count counts)
{
	struct site_cells *s = touch(c, site);
	struct tally t = of_count(counts);

	if (!s)
		return;
	add(&s->now_freed_here, &t, 1);
	add(&c->all.now_freed_here, &t, 1);
}

/* Blocks of the cell that still live get their weights; the last of an address is the one that does. */
static void weigh_births(struct cells *c, double weight)
{
	for (size_t i = c->birth_cnt; i-- > 0;) {
		struct block *block = blocks_at(c->blocks, c->births[i].addr);
		bool second = c->births[i].at > c->events / 2;
		struct site_cells *s;
		struct site_count was, is;
		struct site *site;
		struct tally t;
		double times = 1;

		if (!block || block->weight != BLOCK_OF_CELL || block->tick < c->tick)
			continue;
		s = &c->v[block->site];
		was = cells_at_site(c, block);
		if (s->short_cnt > SHORT_SHARE * s->born_cnt) {
			t = of_count(was);
			if (second) {
				add(&s->now_young, &t, 1);
				add(&c->all.now_young, &t, 1);
			}
			times = second ? 0 : 2;
		}
		block->weight = weight_code(times * weight * stack_scale(c, block), block->addr);
		is = cells_at_site(c, block);
		t = of_count(is);
		add(&s->now_alive, &t, 1);
		site = sites_at(c->sites, block->site);
		site->live.cnt += is.cnt - was.cnt;
		site->live.bytes += is.bytes - was.bytes;
	}
	c->birth_cnt = 0;
}

static void look_at_reuse(struct cells *c)
{
	for (unsigned i = 0; i < c->dead_cnt; i++) {
		if (c->dead[i].at > c->events / 2)
			continue;
		c->reused += blocks_find(c->blocks, c->dead[i].addr) != NULL;
		c->dead_looked++;
	}
	c->dead_cnt = 0;
}

static void settle_young(struct cells *c, struct site_cells *s)
{
	double kept = exp(-(double)(c->cnt - s->young_cell) / YOUNG_CELLS);

	for (int f = 0; f < FIGURES; f++) {
		s->young.v[f] = kept * s->young.v[f] + s->now_young.v[f] / YOUNG_CELLS;
		s->young_squares.v[f] = kept * s->young_squares.v[f] + s->now_young.v[f] * s->now_young.v[f] / YOUNG_CELLS;
	}
	s->young_cell = c->cnt;
}

/* In a sure cell: those that are tracked are as likely to be alive as any of them. */
static void all_seen_die(struct site_cells *s)
{
	for (int i = 0; i < CLASSES; i++) {
		struct cohort *k = &s->cohorts[i];

		for (int f = 0; f < FIGURES; f++) {
			double before = k->looking.v[f] + s->now_dead[i].v[f];

			if (before > 0)
				k->alive.v[f] *= fmax(k->looking.v[f], 0) / before;
		}
	}
}

static void settle_sums(struct cells *c, struct site_cells *s, double weight)
{
	for (int f = 0; f < FIGURES; f++) {
		s->born[f][c->group] += weight * s->now_born.v[f];
		s->freed_here[f][c->group] += weight * s->now_freed_here.v[f];
	}
	add(&s->temporary, &s->now_temporary, weight);
	add(&s->seen_born, &s->now_born, 1);
	add(&s->seen_temporary, &s->now_temporary, 1);
	settle_young(c, s);
}

static void settle_cohorts(struct cells *c, struct site_cells *s, double weight, bool sure)
{
	struct tally before = alive_of(s);

	s->deaths += weight * s->now_short.v[CNT];
	s->ages += weight * s->now_short.v[CNT] * c->progress / 4;
	s->turned += weight * s->now_short.v[CNT];
	s->lived += weight * s->now_short.v[CNT] * c->progress / 4;
	if (sure)
		all_seen_die(s);
	else
		step(c, s, weight, weight * c->progress);
	add(&s->cohorts[0].alive, &s->now_alive, 1);
	add(&s->cohorts[0].looking, &s->now_alive, 1);
	if (!sure) {
		for (int f = 0; f < FIGURES; f++)
			s->cohorts[0].variance.v[f] += s->now_alive.v[f] * s->now_alive.v[f] * (1 - 1 / weight);
		s->born_cnt += s->now_born.v[CNT];
		s->short_cnt += s->now_short.v[CNT];
		s->at++;
		step_over(c, s);
	}
	count_alive(c, s, before);
}

static void forget_cell(struct site_cells *s)
{
	memset(&s->now_born, 0, offsetof(struct site_cells, touched) - offsetof(struct site_cells, now_born));
	s->touched = false;
}

/* What sites freed is of use while it is going on: their own figure grows by weight. */
static void scale_here(struct cells *c, uint32_t number, double weight)
{
	struct site *site = sites_at(c->sites, number);
	struct site_cells *s = &c->v[number];
	uint64_t *figures[] = {&site->freed_here.cnt, &site->freed_here.bytes};

	for (int f = 0; f < FIGURES; f++) {
		double seen = s->now_freed_here.v[f], more = floor((weight - 1) * seen);

		*figures[f] += (uint64_t)more;
		s->scaled_here.v[f] += seen + more;
		c->all.scaled_here.v[f] += seen + more;
	}
}

static void settle_all(struct cells *c, double weight)
{
	bool sure = !c->on || c->sure;

	for (uint32_t i = 0; i < c->touched_cnt; i++) {
		struct site_cells *s = &c->v[c->touched[i]];

		settle_cohorts(c, s, weight, sure);
		if (!sure) {
			settle_sums(c, s, weight);
			scale_here(c, c->touched[i], weight);
		}
		forget_cell(s);
	}
	if (!sure)
		settle_sums(c, &c->all, weight);
	forget_cell(&c->all);
	c->touched_cnt = 0;
}

/* The boundaries of classes move on. */
static void promote(struct cells *c)
{
	for (int i = CLASSES - 2; i >= 0; i--) {
		if (c->cnt % every(i))
			continue;
		c->from[i] = i ? c->from[i - 1] : c->last_tick + 1;
		c->from_own[i] = i ? c->from_own[i - 1] : c->weighing.own;
	}
}

void cells_settle(struct cells *c)
{
	if (c->on && !c->sure)
		return;
	settle_all(c, 1);
	c->tick = ++c->last_tick;
}

void cells_end(struct cells *c, const struct event_cell *end)
{
	double weight;

	if (!c->on)
		return;
	weight = weighing_end(&c->weighing, end);
	if (c->sure) {
		cells_settle(c);
		c->on = false;
		return;
	}
	weight = fmax(weight, 1);
	c->stands_for += (weight * (double)end->progress - c->stands_for) / (c->cnt < 8 ? (double)c->cnt + 1 : 8);
	c->progress = (double)end->progress;
	c->weight = weight;
	look_at_reuse(c);
	weigh_births(c, weight);
	settle_all(c, weight);
	c->cnt++;
	promote(c);
	c->on = false;
	c->tick = ++c->last_tick;
}

void cells_exec(struct cells *c)
{
	cells_settle(c);
	for (uint32_t i = 0; i <= c->v_cnt; i++) {
		struct site_cells *s = i < c->v_cnt ? &c->v[i] : &c->all;

		for (int k = 0; k < CLASSES; k++) {
			add(&s->gone, &s->cohorts[k].alive, 1);
			s->cohorts[k] = (struct cohort){0};
		}
		s->young = s->young_squares = s->now_alive = (struct tally){{0}};
	}
	c->alive = (struct tally){{0}};
}

static uint64_t whole(double v)
{
	return v > 0 ? (uint64_t)(v + 0.5) : 0;
}

static uint64_t *of(struct site_count *c, int figure)
{
	return figure == CNT ? &c->cnt : &c->bytes;
}

static void set(struct site_count *figure, struct bounds *bounds, int f, double v, struct estimate_range r)
{
	*of(figure, f) = whole(v);
	*of(&bounds->low, f) = (uint64_t)fmax(floor(fmin(r.low, v)), 0);
	*of(&bounds->high, f) = (uint64_t)ceil(fmax(r.high, v));
}

/* Of a figure that is a sum over cells: what sure ones saw, and the rest by weight. */
static void estimate_sum(const struct weighing *w, const double sums[ESTIMATE_GROUPS], double exact, double factor, int f,
			 struct site_count *figure, struct bounds *b)
{
	double scaled = 0;
	struct estimate_range r;

	for (int g = 0; g < ESTIMATE_GROUPS; g++)
		scaled += factor * sums[g];
	r = estimate_interval(scaled, factor * factor * estimate_variance(w, sums), 0);
	set(figure, b, f, exact + scaled, (struct estimate_range){exact + r.low, exact + r.high});
}

struct living {
	double alive, variance;
	double most; /* by what looks alive */
	double unit; /* what one block counts that is seen */
};

static struct living estimate_living(const struct cells *c, const struct site_cells *s, int f)
{
	double kept = exp(-(double)(c->cnt - s->young_cell) / YOUNG_CELLS);
	struct living l = {.alive = kept * s->young.v[f], .variance = kept * s->young_squares.v[f]};
	double born = 0, size = s->seen_born.v[CNT] > 0 ? s->seen_born.v[BYTES] / s->seen_born.v[CNT] : 0;

	l.most = l.alive;
	l.unit = c->weight * (f == CNT ? s->seen_born.v[CNT] > 0 : size);

	for (int k = 0; k < CLASSES; k++) {
		l.alive += s->cohorts[k].alive.v[f];
		l.most += fmax(s->cohorts[k].looking.v[f], 0);
		born += s->cohorts[k].variance.v[f];
		l.variance += s->cohorts[k].variance.v[f] + s->cohorts[k].spread.v[f];
	}
	l.most += 2 * sqrt(born);
	return l;
}

static void estimate(const struct cells *c, const struct site_cells *s, uint64_t now_ns, const struct living living[FIGURES],
		     struct site *site, struct site_bounds *b)
{
	const struct weighing *w = &c->weighing;
	double factor = weighing_factor(w, c->on ? 0 : now_ns), now = c->on && !c->sure;

	for (int f = 0; f < FIGURES; f++) {
		double born = (double)*of(&site->allocated, f) - s->seen_born.v[f] - now * s->now_born.v[f];
		double here = (double)*of(&site->freed_here, f) - s->scaled_here.v[f] - now * s->now_freed_here.v[f];
		double temporary =
			(double)*of(&site->temporary, f) - s->seen_temporary.v[f] - now * s->now_temporary.v[f];
		double freed, var;

		estimate_sum(w, s->born[f], born, factor, f, &site->allocated, &b->allocated);
		estimate_sum(w, s->freed_here[f], here, factor, f, &site->freed_here, &b->freed_here);
		*of(&site->temporary, f) = whole(temporary + factor * s->temporary.v[f]);
		set(&site->live, &b->live, f, living[f].alive, estimate_interval(living[f].alive, living[f].variance, 0));
		*of(&b->live.high, f) = (uint64_t)fmax(fmin((double)*of(&b->live.high, f), living[f].most), living[f].alive);
		/* Where nothing was seen, there may have been some. */
		*of(&b->live.high, f) = (uint64_t)fmax((double)*of(&b->live.high, f), living[f].unit * NONE_SEEN);
		freed = fmax((double)*of(&site->allocated, f) - living[f].alive - s->gone.v[f], 0);
		var = factor * factor * estimate_variance(w, s->born[f]) + living[f].variance;
		set(&site->freed, &b->freed, f, freed, estimate_interval(freed, var, 0));
	}
}

void cells_site(struct cells *c, uint32_t number, uint64_t now_ns, struct site *figures, struct site_bounds *b)
{
	static const struct site_cells none;
	const struct site_cells *s = &none;
	struct living living[FIGURES];

	if (number < c->v_cnt) {
		catch_up(c, &c->v[number]);
		s = &c->v[number];
	}
	for (int f = 0; f < FIGURES; f++)
		living[f] = estimate_living(c, s, f);
	estimate(c, s, now_ns, living, figures, b);
}

/* Chance has sites' errors in common as far as they are alive in the same cells: they add up. */
void cells_all(struct cells *c, uint64_t now_ns, struct site *figures, struct site_bounds *b)
{
	struct living living[FIGURES] = {{0}};

	for (uint32_t i = 0; i < c->v_cnt; i++) {
		catch_up(c, &c->v[i]);
		for (int f = 0; f < FIGURES; f++) {
			struct living l = estimate_living(c, &c->v[i], f);

			living[f].alive += l.alive;
			living[f].most += l.most;
			living[f].variance += sqrt(l.variance);
		}
	}
	for (int f = 0; f < FIGURES; f++)
		living[f].variance *= living[f].variance;
	if (living[BYTES].alive > c->peak.v[BYTES]) {
		c->peak = (struct tally){{living[CNT].alive, living[BYTES].alive}};
		c->peak_ns = now_ns;
		for (uint32_t i = 0; i < c->v_cnt; i++)
			for (int f = 0; f < FIGURES; f++)
				c->v[i].peak.v[f] = estimate_living(c, &c->v[i], f).alive;
	}
	estimate(c, &c->all, now_ns, living, figures, b);
}

void cells_peak_was(struct cells *c, struct site_count live, uint64_t time_ns)
{
	c->peak = of_count(live);
	c->peak_ns = time_ns;
}

void cells_site_peak_was(struct cells *c, uint32_t number, struct site_count live)
{
	if (number < c->v_cnt)
		c->v[number].peak = of_count(live);
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
	return whole(c->alive.v[BYTES] + c->all.young.v[BYTES]);
}

double cells_share_alive(struct cells *c, uint32_t number)
{
	double alive = 0, looking = 0;

	if (number >= c->v_cnt)
		return 1;
	catch_up(c, &c->v[number]);
	for (int i = 0; i < CLASSES; i++) {
		alive += c->v[number].cohorts[i].alive.v[CNT];
		looking += c->v[number].cohorts[i].looking.v[CNT];
	}
	return looking > 0 ? fmin(alive / looking, 1) : 1;
}
