#include "heap/cells.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "heap/cells_book.h"
#include "heap/sampling.h"

#define SHORT_SHARE                                                                                          \
	0.02 /* of blocks that died in their cell: from there on a site's are looked at in halves */

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
	struct cohort *old = &s->cohorts.v[COHORT_CNT - 1];

	old->alive = old->looking = tally_of(site->live);
	s->gone.v[CNT] = (double)site->allocated.cnt - (double)site->freed.cnt - (double)site->live.cnt;
	s->gone.v[BYTES] =
		(double)site->allocated.bytes - (double)site->freed.bytes - (double)site->live.bytes;
}

static void know_block(struct block *block, void *arg)
{
	struct cells *c = arg;
	struct tally t = {{1, (double)block->size}};

	if (block->weight == BLOCK_AS_SAMPLED && block->site < c->v_cnt)
		cells_step(c, &c->v[block->site], block->size, &t, NULL);
}

struct cells *cells_new(struct sites *sites, struct blocks *blocks, struct before *before,
			uint64_t (*const *rounded)(uint64_t size))
{
	struct cells *c = calloc(1, sizeof(*c));
	uint32_t cnt = sites_cnt(sites);
	uint64_t cursor = 0;
	const struct tally *old;

	if (!c)
		return NULL;
	c->sites = sites;
	c->blocks = blocks;
	c->before = before;
	c->rounded = rounded;
	c->all_left = -1;
	if (make_room(c, cnt - 1)) {
		free(c);
		return NULL;
	}
	for (uint32_t i = 0; i < cnt; i++) {
		begin_exact(&c->v[i], sites_at(sites, i));
		tally_add(&c->all.gone, &c->v[i].gone, 1);
		old = &c->v[i].cohorts.v[COHORT_CNT - 1].alive;
		tally_add(&c->all.cohorts.v[COHORT_CNT - 1].alive, old, 1);
		tally_add(&c->all.cohorts.v[COHORT_CNT - 1].looking, old, 1);
		tally_add(&c->alive, &c->v[i].cohorts.v[COHORT_CNT - 1].alive, 1);
	}
	while (blocks_scan(blocks, &cursor, UINT32_MAX, know_block, c))
		;
	return c;
}

void cells_free(struct cells *c)
{
	if (!c)
		return;
	for (uint32_t i = 0; i < c->v_cnt; i++)
		free(c->v[i].steps);
	free(c->v);
	free(c->touched);
	free(c->births);
	free(c);
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
	for (int i = 0; i < COHORT_CNT && !c->ages.cells; i++)
		c->ages.from[i] = c->ages.from[i] ? c->ages.from[i] : c->tick;
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

void cells_count_alive(struct cells *c, const struct site_cells *s, struct tally before)
{
	struct tally now = cohorts_alive(&s->cohorts);

	tally_add(&c->alive, &now, 1);
	tally_add(&c->alive, &before, -1);
}

void cells_catch_up(struct cells *c, struct site_cells *s)
{
	struct tally before = cohorts_alive(&s->cohorts);

	cohorts_catch_up(&s->cohorts, &c->all.cohorts, &c->ages);
	cells_count_alive(c, s, before);
}

static struct site_cells *touch(struct cells *c, uint32_t site)
{
	if (make_room(c, site))
		return NULL;
	if (c->v[site].cohorts.at < c->ages.cells)
		cells_catch_up(c, &c->v[site]);
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
	struct tally t = tally_of(counts);

	if (!s)
		return;
	c->events++;
	if (block->tick > c->last_tick)
		c->last_tick = block->tick;
	tally_add(&s->now_born, &t, 1);
	tally_add(&c->all.now_born, &t, 1);
	cells_step_born(c, s, block->size, counts);
	if (!tracked)
		return;
	if (c->on && !c->sure) {
		note_birth(c, block->addr);
	} else {
		tally_add(&s->now_alive, &t, 1);
		tally_add(&c->all.now_alive, &t, 1);
		cells_step(c, s, block->size, &t, NULL);
	}
}

void cells_left(struct cells *c, const struct block *block, struct site_count counts, enum cells_leave why)
{
	bool freed = why == CELLS_FREED || why == CELLS_TEMPORARY;
	enum cohort_end end = freed ? COHORT_DIED : why == CELLS_REPLACED ? COHORT_REPLACED : COHORT_BURIED;
	struct site_cells *s = touch(c, block->site);
	struct tally t = tally_of(counts), less = {{-t.v[CNT], -t.v[BYTES]}}, before = {{0}};
	unsigned class = ages_class(&c->ages, block->tick);

	if (!s)
		return;
	c->events += freed;
	if (freed && c->dead_cnt < REUSE_LOOKS)
		c->dead[c->dead_cnt++] = (struct birth){.addr = block->addr, .at = c->events};
	if (why == CELLS_TEMPORARY) {
		tally_add(&s->now_temporary, &t, 1);
		tally_add(&c->all.now_temporary, &t, 1);
	}
	if (block->tick >= c->tick) {
		tally_add(&s->now_short, &t, 1);
		tally_add(&c->all.now_short, &t, 1);
		if (!c->on || c->sure) {
			tally_add(&s->now_alive, &t, -1);
			tally_add(&c->all.now_alive, &t, -1);
			cells_step(c, s, block->size, &less, NULL);
		}
		return;
	}
	cells_step(c, s, block->size, &less, NULL);
	if (end == COHORT_BURIED)
		before = cohorts_alive(&s->cohorts);
	cohorts_leave(&s->cohorts, class, &t, end);
	if (end == COHORT_BURIED)
		cells_count_alive(c, s, before);
	cohorts_leave(&c->all.cohorts, class, &t, end);
}

bool cells_see_all(const struct cells *c)
{
	return !c->on || c->sure;
}

void cells_freed_here(struct cells *c, uint32_t site, struct site_count counts)
{
	struct site_cells *s = touch(c, site);
	struct tally t = tally_of(counts);

	if (!s)
		return;
	tally_add(&s->now_freed_here, &t, 1);
	tally_add(&c->all.now_freed_here, &t, 1);
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
			t = tally_of(was);
			if (second) {
				tally_add(&s->now_young, &t, 1);
				tally_add(&c->all.now_young, &t, 1);
				cells_step(c, s, block->size, NULL, &t);
			}
			times = second ? 0 : 2;
		}
		block->weight = weight_code(times * weight * stack_scale(c, block), block->addr);
		is = cells_at_site(c, block);
		t = tally_of(is);
		tally_add(&s->now_alive, &t, 1);
		tally_add(&c->all.now_alive, &t, 1);
		cells_step(c, s, block->size, &t, NULL);
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
		c->dead_reused += blocks_find(c->blocks, c->dead[i].addr) != NULL;
		c->dead_looked++;
	}
	c->dead_cnt = 0;
	c->ages.reused = (c->dead_reused + 0.5) / (c->dead_looked + 1);
}

static void settle_young(struct cells *c, struct site_cells *s)
{
	double kept = exp(-(double)(c->ages.cells - s->young_cell) / YOUNG_CELLS);

	for (enum figure f = 0; f < FIGURE_CNT; f++) {
		s->young.v[f] = kept * s->young.v[f] + s->now_young.v[f] / YOUNG_CELLS;
		s->young_squares.v[f] =
			kept * s->young_squares.v[f] + s->now_young.v[f] * s->now_young.v[f] / YOUNG_CELLS;
	}
	s->young_cell = c->ages.cells;
}

static void settle_sums(struct cells *c, struct site_cells *s, double weight)
{
	for (enum figure f = 0; f < FIGURE_CNT; f++) {
		s->born[f][c->group] += weight * s->now_born.v[f];
		s->freed_here[f][c->group] += weight * s->now_freed_here.v[f];
	}
	tally_add(&s->temporary, &s->now_temporary, weight);
	tally_add(&s->seen_born, &s->now_born, 1);
	tally_add(&s->seen_temporary, &s->now_temporary, 1);
	settle_young(c, s);
}

static void settle_cohorts(struct cells *c, struct site_cells *s, double weight, double progress, bool sure)
{
	const struct cohorts *pool = s == &c->all ? NULL : &c->all.cohorts;
	struct tally before = cohorts_alive(&s->cohorts), usual = {{0}};
	double stands_for = weight * progress;

	if (sure) {
		cohorts_die_seen(&s->cohorts);
		cohorts_born(&s->cohorts, &s->now_alive, &usual, 1);
	} else {
		cohorts_short(&s->cohorts, &s->now_short, weight, progress);
		cohorts_die(&s->cohorts, pool, &c->ages, weight, progress);
		tally_add(&usual, &s->came, stands_for / fmax(c->weighing.weighed - stands_for, 1));
		cohorts_born(&s->cohorts, &s->now_alive, &usual, weight);
		tally_add(&s->came, &s->now_alive, 1);
		cohorts_pass(&s->cohorts);
		s->born_cnt += s->now_born.v[CNT];
		s->short_cnt += s->now_short.v[CNT];
	}
	if (pool)
		cells_count_alive(c, s, before);
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

	for (enum figure f = 0; f < FIGURE_CNT; f++) {
		double seen = s->now_freed_here.v[f], more = floor((weight - 1) * seen);

		*figures[f] += (uint64_t)more;
		s->scaled_here.v[f] += seen + more;
		c->all.scaled_here.v[f] += seen + more;
	}
}

static void settle_all(struct cells *c, double weight, double progress)
{
	bool sure = !c->on || c->sure;

	settle_cohorts(c, &c->all, weight, progress, sure);
	c->ages.old_turn = cohorts_old_turn(&c->all.cohorts);
	for (uint32_t i = 0; i < c->touched_cnt; i++) {
		struct site_cells *s = &c->v[c->touched[i]];

		settle_cohorts(c, s, weight, progress, sure);
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

void cells_settle(struct cells *c)
{
	if (c->on && !c->sure)
		return;
	settle_all(c, 1, 0);
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
	c->ages.own = c->weighing.own;
	c->ages.weight = weight;
	c->ages.stands_for += (weight * c->weighing.progress - c->ages.stands_for) /
			      (c->ages.cells < 8 ? (double)c->ages.cells + 1 : 8);
	look_at_reuse(c);
	weigh_births(c, weight);
	settle_all(c, weight, c->weighing.progress);
	before_pass(c->before, &c->ages, weight, c->weighing.progress);
	c->tick = ++c->last_tick;
	ages_pass(&c->ages, c->tick);
	c->on = false;
}

void cells_exec(struct cells *c)
{
	cells_settle(c);
	for (uint32_t i = 0; i <= c->v_cnt; i++) {
		struct site_cells *s = i < c->v_cnt ? &c->v[i] : &c->all;
		struct tally alive;

		alive = cohorts_alive(&s->cohorts);
		tally_add(&s->gone, &alive, 1);
		tally_add(&c->all.gone, &alive, i < c->v_cnt);
		s->cohorts = (struct cohorts){.at = c->ages.cells};
		s->young = s->young_squares = s->now_alive = (struct tally){{0}};
		s->step_cnt = 0;
		s->raked = false;
	}
	c->alive = (struct tally){{0}};
	c->walked = 0;
	c->all_left = -1;
}
