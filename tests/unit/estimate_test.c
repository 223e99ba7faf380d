#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>

/*
 * A thousand runs of a simulated process, whose sites are known: what is estimated from cells holds the truth
 * as often as its bounds say.
 *
 *   ESTIMATE_RUNS=N  so many of each scenario, and a table of what came out
 *   ESTIMATE_ONLY=S  scenarios with that in their name
 */
#include "estimate_sim.h"

#define MS 1e6
#define COVERED 0.92 /* that intervals must hold of the truth */
#define MANY 50 /* sites a run: their coverage is known well; of one site alone it varies with the runs */
#define FEW 5   /* of so many runs one, where few are said to be enough */
#define COVERED_ALONE 0.8
#define ERROR 0.02      /* signed, of sums of large sites */
#define LIVE_ERROR 0.04 /* … of what is live, where nothing else is said */

/* One step of a scenario: allocates (and frees) what comes at this moment. */
struct scenario {
	const char *name;
	void (*step)(struct sim *s, double until);
	double rate; /* steps a ms of own time */
	double chance, cell;
	double reuse;
	uint64_t mean, quota;
	bool walks, changes;
	bool late;         /* the attach */
	bool longer, few;  /* runs: these take long */
	bool misjudged;    /* how long a cell will be, at first */
	double live_error; /* what is known of it: heap/estimate.h */
	double sum_error;
};

static uint32_t skewed(struct sim *s)
{
	return sim_uniform(s) < 0.6 ? 0 : 1 + sim_random(s) % 100;
}

static uint32_t any_size(struct sim *s)
{
	return 16 + sim_random(s) % 240;
}

static void long_lives(struct sim *s, double until)
{
	(void)until;
	sim_alloc(s, skewed(s), any_size(s), sim_exponential(s, 2000 * MS));
}

static void middle_lives(struct sim *s, double until)
{
	(void)until;
	sim_alloc(s, skewed(s), any_size(s), 10 * MS * exp(sim_uniform(s) * log(50)));
}

static void short_lives(struct sim *s, double until)
{
	(void)until;
	sim_alloc(s, skewed(s), any_size(s), sim_exponential(s, 0.5 * MS));
}

static void phases(struct sim *s, double until)
{
	double in = fmod(s->own, 2000 * MS);

	(void)until;
	if (in < 1000 * MS)
		sim_alloc(s, skewed(s), any_size(s), 1000 * MS - in + 1000 * MS * sim_uniform(s));
}

/* A burst, of other sites each time of four, as often as there is a cell on average. */
static void bursts(struct sim *s, double until)
{
	double period = 5 * MS / 0.1;
	uint32_t site = (uint32_t)(s->own / period) % 4;

	(void)until;
	if (fmod(s->own, period) < period / 4)
		sim_alloc(s, site, any_size(s), sim_exponential(s, 1000 * MS));
}

static void lru(struct sim *s, double until)
{
	(void)until;
	sim_alloc(s, skewed(s), 64, 1000 * MS);
}

/* Between two cells all of it is another. */
static void lru_fast(struct sim *s, double until)
{
	(void)until;
	sim_alloc(s, skewed(s), 64, 5 * MS);
}

/* Of all that is born between two cells next to nothing is left. */
static void lru_sparse(struct sim *s, double until)
{
	(void)until;
	sim_alloc(s, skewed(s), 64, 10 * MS);
}

static void mixed_sparse(struct sim *s, double until)
{
	(void)until;
	sim_alloc(s, skewed(s), any_size(s),
		  sim_uniform(s) < .25 ? sim_exponential(s, 90 * MS) : sim_exponential(s, 6 * MS));
}

static void leak_sparse(struct sim *s, double until)
{
	bool leaks = sim_uniform(s) < 0.02;

	(void)until;
	sim_alloc(s, leaks, any_size(s), leaks ? INFINITY : sim_exponential(s, 10 * MS));
}

static void leak_beside(struct sim *s, double until)
{
	bool leaks = sim_uniform(s) < 0.05;

	(void)until;
	sim_alloc(s, leaks, any_size(s), leaks ? INFINITY : sim_exponential(s, 30 * MS));
}

static void leak_within(struct sim *s, double until)
{
	bool leaks = sim_uniform(s) < 0.05;

	(void)until;
	sim_alloc(s, 0, any_size(s), leaks ? INFINITY : sim_exponential(s, 30 * MS));
}

static void leak_within_short(struct sim *s, double until)
{
	bool leaks = sim_uniform(s) < 0.02;

	(void)until;
	sim_alloc(s, 0, any_size(s), leaks ? INFINITY : sim_exponential(s, 1 * MS));
}

/* A cell stands for two hundred times its length. */
#define SPARSE .chance = 0.005, .cell = 1 * MS, .walks = true, .few = true

static const struct scenario scenarios[] = {
	{.name = "long lives", .step = long_lives, .rate = 40},
	{.name = "long, no reuse", .step = long_lives, .rate = 40, .reuse = 0.01},
	{.name = "long, walks", .step = long_lives, .rate = 40, .walks = true, .reuse = .5},
	{.name = "middle lives", .step = middle_lives, .rate = 40},
	{.name = "middle, no reuse", .step = middle_lives, .rate = 40, .reuse = 0.01},
	{.name = "middle, walks", .step = middle_lives, .rate = 40, .walks = true, .reuse = .5},
	/* Some twenty blocks are live: which sites are large is chance. */
	{.name = "short lives", .step = short_lives, .rate = 40, .live_error = 0.5},
	{.name = "phases", .step = phases, .rate = 40},
	{.name = "phases, walks", .step = phases, .rate = 40, .walks = true},
	{.name = "period of cells", .step = bursts, .rate = 80},
	{.name = "LRU of 20000", .step = lru, .rate = 80},
	{.name = "LRU, 5 %", .step = lru, .rate = 80, .chance = 0.05},
	{.name = "LRU of 400", .step = lru_fast, .rate = 80},
	{.name = "leak beside churn", .step = leak_beside, .rate = 40},
	{.name = "leak within churn", .step = leak_within, .rate = 40},
	{.name = "leak within short", .step = leak_within_short, .rate = 40},
	{.name = "chances change", .step = long_lives, .rate = 40, .changes = true, .live_error = 0.05},
	/* There are four cells or so in the first third. */
	{.name = "cells misjudged",
	 .step = long_lives,
	 .rate = 40,
	 .misjudged = true,
	 .live_error = 0.06,
	 .sum_error = 0.1},
	{.name = "stacks sampled", .step = long_lives, .rate = 40, .mean = 512},
	{.name = "late, long lives", .step = long_lives, .rate = 40, .late = true, .live_error = 0.05},
	{.name = "late, LRU", .step = lru, .rate = 80, .late = true},
	{.name = "late, leak beside", .step = leak_beside, .rate = 40, .late = true},
	{.name = "late, middle", .step = middle_lives, .rate = 40, .late = true},
	{.name = "sparse LRU", .step = lru_sparse, .rate = 200, SPARSE, .sum_error = 0.08},
	{.name = "sparse mixed", .step = mixed_sparse, .rate = 200, SPARSE, .live_error = 0.16, .sum_error = 0.08},
	{.name = "sparse late LRU",
	 .step = lru_sparse,
	 .rate = 200,
	 SPARSE,
	 .late = true,
	 .live_error = 0.12,
	 .sum_error = 0.08},
	{.name = "sparse late leak",
	 .step = leak_sparse,
	 .rate = 100,
	 SPARSE,
	 .late = true,
	 .longer = true,
	 .live_error = 0.16},
	{.name = "cut by quota", .step = bursts, .rate = 80, .quota = 320},
};
#define SCENARIO_CNT (sizeof(scenarios) / sizeof(scenarios[0]))

enum judged { ALLOCATED, FREED, FREED_HERE, LIVE, JUDGED_CNT };

struct score {
	uint64_t in, of;
	double error, square, truth;
	double width;
	uint64_t large;
	uint64_t large_in;
};

static void judge(struct score *score, uint64_t estimate, uint64_t low, uint64_t high, uint64_t truth,
		  uint64_t all)
{
	bool in = truth >= low && truth <= high;

	score->of++;
	score->in += in;
	if (truth && (double)truth > 0.05 * (double)all) {
		double error = ((double)estimate - (double)truth) / (double)truth;

		score->error += (double)estimate - (double)truth;
		score->truth += (double)truth;
		score->square += error * error;
		score->width += ((double)high - (double)low) / 2 / (double)truth;
		score->large++;
		score->large_in += in;
	}
}

static void judge_site(struct score score[JUDGED_CNT], const struct site *e, const struct site_bounds *b,
		       const struct sim_site *t, const struct sim_site *all)
{
	judge(&score[ALLOCATED], e->allocated.bytes, b->allocated.low.bytes, b->allocated.high.bytes,
	      t->allocated.bytes, all->allocated.bytes);
	judge(&score[FREED], e->freed.bytes, b->freed.low.bytes, b->freed.high.bytes, t->freed.bytes,
	      all->freed.bytes);
	judge(&score[FREED_HERE], e->freed_here.bytes, b->freed_here.low.bytes, b->freed_here.high.bytes,
	      t->freed_here.bytes, all->freed_here.bytes);
	judge(&score[LIVE], e->live.bytes, b->live.low.bytes, b->live.high.bytes, t->live.bytes,
	      all->live.bytes);
}

static void run(const struct scenario *sc, uint64_t seed, struct score sites[JUDGED_CNT],
		struct score all[JUDGED_CNT])
{
	struct sim *s = sim_new(seed, sc->chance > 0 ? sc->chance : 0.1, sc->cell > 0 ? sc->cell : 5 * MS);
	double until = (3500 + 1500 * sim_uniform(s)) * MS, walk = 1000 * MS, end = until;
	struct sim_site truth = {.live = {0}};
	struct site e;
	struct site_bounds b;

	if (sc->reuse > 0)
		s->reuse = sc->reuse;
	s->mean = sc->mean;
	if (sc->quota)
		s->quota = sc->quota;
	if (sc->longer)
		end += 8000 * MS;
	if (sc->late)
		end += 1500 * MS;
	while (s->own < end) {
		if (!s->watched && !s->on && s->own >= (sc->late ? 1500 * MS : 0))
			sim_attach(s);
		if (sc->changes) {
			double at = s->own / end;

			s->will_be_sure = at < 0.1 || (at > 0.6 && at < 0.65);
			s->chance = at < 0.4 ? 0.05 + 0.9 * fmax(0, 0.3 - at) : 0.05 + 0.2 * (at > 0.8);
		}
		if (sc->misjudged && s->own < 0.3 * end) {
			s->cell_own = 0.02 * MS;
			s->chance = 0.001;
		} else if (sc->misjudged) {
			s->chance = 0.1;
		}
		sim_pass(s, sim_exponential(s, MS / sc->rate));
		sim_reap(s);
		sc->step(s, end);
		if (sc->walks && s->own > walk) {
			sim_walk(s);
			walk = s->own + sim_exponential(s, 1000 * MS);
		}
	}
	sim_walk(s);
	for (int i = 0; i < SIM_SITES; i++) {
		const struct sim_site *t = &s->sites[i];

		sim_count(&truth.allocated, t->allocated.cnt, t->allocated.bytes);
		sim_count(&truth.freed, t->freed.cnt, t->freed.bytes);
		sim_count(&truth.freed_here, t->freed_here.cnt, t->freed_here.bytes);
		sim_count(&truth.live, t->live.cnt, t->live.bytes);
	}
	assert_true(ledger_is_estimated(s->ledger));
	for (uint32_t i = 1; i < sites_cnt(ledger_sites(s->ledger)); i++) {
		uint64_t stack = sites_at(ledger_sites(s->ledger), i)->stack;

		ledger_estimate(s->ledger, i, sim_time(s), &e, &b);
		judge_site(sites, &e, &b, &s->sites[stack - 1], &truth);
	}
	if (!sc->mean) {
		struct ledger_totals totals;

		ledger_estimate_totals(s->ledger, sim_time(s), &totals, &b);
		e = (struct site){.live = totals.live,
				  .allocated = totals.allocated,
				  .freed = totals.freed,
				  .freed_here = totals.freed};
		judge_site(all, &e, &b, &truth, &truth);
	}
	sim_delete(s);
}

static void print(const char *name, const char *of, const struct score score[JUDGED_CNT])
{
	static const char *const names[] = {"allocated", "freed", "freed here", "live"};

	printf("%-18s %-5s", name, of);
	for (int f = 0; f < JUDGED_CNT; f++) {
		const struct score *s = &score[f];
		double n = fmax((double)s->large, 1);

		printf(" | %s %5.1f %%%s %+6.1f ±%5.1f sd %5.1f w %5.1f", names[f],
		       100.0 * (double)s->in / fmax((double)s->of, 1),
		       s->in < 0.92 * (double)s->of ? "!" : " ", 100 * s->error / fmax(s->truth, 1),
		       100 * sqrt(s->square) / n, 100 * sqrt(s->square / n), 100 * s->width / n);
	}
	printf("\n");
}

/* Whether a scenario's figures are what they must be, as far as so many runs tell. */
static bool holds(const struct scenario *sc, const struct score score[JUDGED_CNT], uint64_t runs)
{
	static const char *const names[] = {"allocated", "freed", "freed here", "live"};
	bool good = true;

	for (int f = 0; f < JUDGED_CNT; f++) {
		const struct score *s = &score[f];
		double covered = (double)s->in / (double)s->of,
		       least = s->of > MANY * runs ? COVERED : COVERED_ALONE;
		double error = fabs(s->error) / fmax(s->truth, 1),
		       chance = 2.5 * sqrt(s->square) / fmax((double)s->large, 1);
		double most = f == LIVE           ? (sc->live_error > 0 ? sc->live_error : LIVE_ERROR)
			      : sc->sum_error > 0 ? sc->sum_error
						  : ERROR;

		if (f == FREED) /* allocated less live: as good as that */
			most = least = -1;
		if (covered < least || (most >= 0 && error > most + chance)) {
			print_error("%s, %s: %.1f %% covered, error %+.1f %%, %.1f %% of it by chance\n",
				    sc->name, names[f], 100 * covered, 100 * error, 100 * chance);
			good = false;
		}
	}
	return good;
}

static void estimates_hold(void **state)
{
	const char *asked = getenv("ESTIMATE_RUNS"), *only = getenv("ESTIMATE_ONLY");
	uint64_t runs = asked ? strtoull(asked, NULL, 10) : 46; /* of each: a thousand in all */
	unsigned held = 0, cnt = 0;

	(void)state;
	for (size_t i = 0; i < SCENARIO_CNT; i++) {
		struct score sites[JUDGED_CNT] = {{0}}, all[JUDGED_CNT] = {{0}};

		uint64_t cnt_of = scenarios[i].few ? (runs + FEW - 1) / FEW : runs;

		if (only && !strstr(scenarios[i].name, only))
			continue;
		for (uint64_t n = 0; n < cnt_of; n++)
			run(&scenarios[i], 1000 * (i + 1) + n, sites, all);
		if (asked) {
			print(scenarios[i].name, "sites", sites);
			print("", "all", all);
		}
		held += holds(&scenarios[i], sites, cnt_of);
		cnt++;
	}
	assert_int_equal(held, cnt);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(estimates_hold),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
