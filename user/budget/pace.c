#include "budget/pace.h"

#include <math.h>
#include <stdlib.h>

#include "base/units.h"
#include "budget/account.h"
#include "budget/evidence.h"

#define MS (NSEC_PER_SEC / 1000)
#define ASK_NS (50 * MS)       /* a sure cell is looked at so often; */
#define CALM_ASK_NS (250 * MS) /* … one that takes little of the budget */
#define CALM 0.25              /* … which is that part of it */
#define CALM_CORE 0.01         /* … or that part of a core */
#define LITTLE 0.4             /* of the budget of 5 s: nobody asks whether the next second will be as dear */
#define BURST 0.2              /* of the budget of 5 s: most that may go before a jump of the rate is met */
#define CELL_MIN_NS (5 * MS)
#define CELL_MAX_NS (250 * MS)
#define CELL_PART 0.12 /* of the budget of 5 s is what probes may take in a cell */
#define OFF_MAX_NS (4 * NSEC_PER_SEC)
#define OUR_OFF_MAX_NS                                                                                       \
	(20 * NSEC_PER_SEC) /* objects' probes may cost us 80 ms, which a core's part pays in 32 s */
#define SURE 0.93           /* of the budget: what probes that are on all the time may take */
#define PLANNED 0.7         /* of the budget: switches, cold caches and walks cost some that nobody counts */
#define SPREAD 1.7          /* standard deviations of what coins make of 5 s that are left free */
#define NEAR 0.9            /* of the budget is as good as all of it */
#define FLOOR_NS 2e6        /* that a process without any CPU time may be charged at once */
#define HIT_NS 900.0        /* what a hit costs before any was seen */
#define OURS_NS 5e6         /* what switching to a cell and from it costs us, before any was seen */
#define HITS_MIN 2000       /* of a quota */
#define SETTLE_NS NSEC_PER_SEC     /* in a mode before leaving it for a dearer one */
#define RATE_NS (NSEC_PER_SEC / 2) /* of time off weigh as much as all that was seen before */
#define CELLS_MIN 5                /* seen before their mean is believed */
#define SAMPLE_FIRST 4096
#define SAMPLE_MAX (1 << 20)

enum mode { MODE_ALL, MODE_SAMPLED, MODE_SLICED };

/* Means over the last cells that were on, each 1/8 of what there was before. */
struct cell_means {
	double cost; /* ns that probes took: in it, for switching to it and from it */
	double ours; /* ns that we used ourselves for both */
	double cpu, probe, stack, own, hits, wall; /* in it */
	unsigned cnt;
};

struct pace {
	struct pace_options options;
	struct account account;
	struct evidence evidence;
	struct pace_reading last;
	struct pace_step step;
	enum mode mode;
	uint64_t mode_since;
	struct cell_means cell;
	double pending_cost, pending_ours; /* of switching, since the last cell ended */
	double off_rate;                   /* own CPU time in ns of time, while off */
	bool toss_again;                   /* after this step, whose coins were all for off */
	bool sliced;
	uint64_t random;
};

/* splitmix64 (Steele, Lea, Flood 2014) → [0, 1). */
static double coin(struct pace *p)
{
	uint64_t z = p->random += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return (double)((z ^ z >> 31) >> 11) * 0x1p-53;
}

/* The last 5 s; before the beginning it is taken to have run as it has since. */
static struct spent last_span(const struct pace *p, uint64_t now)
{
	struct spent last = account_last(&p->account, now, PACE_SPAN_NS);
	double wall = p->account.total.wall;

	if (wall > 0 && wall < PACE_SPAN_NS) {
		last.cpu += p->account.total.cpu * (PACE_SPAN_NS / wall - 1);
		last.wall += PACE_SPAN_NS - wall;
	}
	return last;
}

/* The budget of a time in which the process used so much CPU time, ns. */
static double allowed(const struct pace *p, double cpu, double wall)
{
	return fmax(p->options.max_share * cpu, p->options.core_share * wall);
}

/* … of 5 s, at the rate of now. */
static double span_budget(const struct pace *p)
{
	return allowed(p, fmin(fmax(p->off_rate, 0.1), 1) * PACE_SPAN_NS, PACE_SPAN_NS);
}

/* … of it, what cells are planned to take: the fewer there are in 5 s, the more unevenly their coins fall. */
static double planned_part(const struct pace *p)
{
	double cost = fmax(fmax(p->cell.cost, p->cell.ours), FLOOR_NS);

	return PLANNED * (1 - fmin(SPREAD / sqrt(span_budget(p) / cost), 0.5));
}

static struct pace_step sure_step(struct pace *p, uint64_t now)
{
	struct spent last = last_span(p, now);
	struct spent second = account_last(&p->account, now, NSEC_PER_SEC);
	double rate = second.wall > 0 ? second.cpu / second.wall : 1;
	bool calm = second.wall > 0 &&
		    second.probe < fmax(CALM * allowed(p, second.cpu, second.wall), CALM_CORE * second.wall);
	uint64_t length = calm ? CALM_ASK_NS : ASK_NS;
	double next = allowed(p, rate * (double)length, (double)length);
	double left = fmax(SURE * allowed(p, last.cpu, last.wall) + next - last.probe, 1.5 * next);
	double hit = p->cell.hits > 0 && p->cell.probe > 0 ? p->cell.probe / p->cell.hits : HIT_NS;

	left = fmin(left, BURST * p->options.max_share * PACE_SPAN_NS * fmax(rate, 1));
	return (struct pace_step){
		.on = true,
		.sure = true,
		.chance = 1,
		.length_ns = length,
		.quota = (uint64_t)(fmax(left, FLOOR_NS) / hit) + HITS_MIN,
	};
}

/*
 * As long as makes what is seen in it worth the switch. Where that costs us more than the process, what
 * probes take in it shall make up the difference: so both budgets are used up by as many cells.
 */
static uint64_t cell_length(const struct pace *p)
{
	const struct cell_means *c = &p->cell;
	double rate = c->wall > 0 ? c->probe / c->wall : 1, switching = c->cost - c->probe;

	if (!c->cnt)
		return CELL_MIN_NS;
	switching = fmin(fmax(switching, c->ours - switching), CELL_PART * span_budget(p));
	return (uint64_t)fmin(fmax(switching / fmax(rate, 1e-3), CELL_MIN_NS), CELL_MAX_NS);
}

static struct pace_step cell_step(struct pace *p, double chance, uint64_t cell_ns)
{
	return (struct pace_step){
		.on = true,
		.chance = chance,
		.cell_ns = cell_ns,
		.length_ns = cell_length(p),
		.quota = (uint64_t)(4 * p->cell.hits) + HITS_MIN,
	};
}

/* Time (ns) off after a cell that costs so much, so that both together have just the budget for it. */
static double paid_off(const struct pace *p, double cost)
{
	double off = (cost / p->options.max_share - p->cell.cpu) / fmax(p->off_rate, 0.01);

	return p->options.core_share > 0 ? fmin(off, cost / p->options.core_share - p->cell.wall) : off;
}

/*
 * Time (ns) that it should be off between two cells on average, so that what a cell costs comes to what is
 * planned. Coins fall unevenly: the more of the last 5 s' budget is spent, the longer.
 */
static double off_for(const struct pace *p, double cost, double spent, double budget)
{
	double part = planned_part(p), used = budget > 0 ? spent / (part * budget) : 0;
	double more = spent + cost > NEAR * budget ? 16 : fmin(fmax(pow(used, 4), 1), 8);

	return fmax(paid_off(p, cost / part) * more, (double)MS);
}

/* … what it costs the process, and us. */
static double mean_off(const struct pace *p, uint64_t now)
{
	struct spent last = last_span(p, now);
	double budget = allowed(p, last.cpu, last.wall);

	return fmax(fmin(off_for(p, p->cell.cost, last.probe, budget), OFF_MAX_NS),
		    fmin(off_for(p, p->cell.ours, last.ours, budget), OUR_OFF_MAX_NS));
}

/*
 * Coins until one is for a cell that is on. Each cell is as much own CPU time of the process as the last
 * ones that were on had.
 */
static struct pace_step toss(struct pace *p, uint64_t now)
{
	double off = mean_off(p, now), rate = fmax(p->off_rate, 0.01);
	double length = fmax(p->cell.own / rate, 1e3);
	double chance = fmin(fmax(length / (length + off), 1e-6), 1);
	double cnt = chance < 1 ? floor(log(1 - coin(p)) / log1p(-chance)) : 0;

	/* Coins do not remember: those of later are tossed then, when more is known of the rate. */
	p->toss_again = cnt * length > (double)RATE_NS;
	if (cnt < 1)
		return cell_step(p, chance, (uint64_t)(length * rate));
	return (struct pace_step){.chance = chance,
				  .cell_ns = (uint64_t)(length * rate),
				  .length_ns = (uint64_t)fmin(cnt * length, (double)RATE_NS)};
}

static void enter(struct pace *p, enum mode mode, uint64_t now)
{
	if (mode == MODE_SLICED && p->mode != MODE_SLICED)
		p->cell.cnt = 0;
	p->mode = mode;
	p->mode_since = now;
}

static bool may_sample(const struct pace *p)
{
	return !p->options.stacks_sampled;
}

/* Whether that is within so much of the budget of its time. */
static bool suffices(const struct pace *p, const struct spent *s, double part)
{
	return s->probe <= part * SURE * allowed(p, s->cpu, s->wall);
}

/* … without stacks but few. */
static bool suffices_bare(const struct pace *p, const struct spent *s, double part)
{
	const struct spent bare = {.cpu = s->cpu - s->stack, .probe = s->probe - s->stack, .wall = s->wall};

	return suffices(p, &bare, part);
}

/* The budget is of 5 s: a second that has too much, or a beginning, may be made up for. */
static bool has_spent_little(const struct pace *p, uint64_t now)
{
	struct spent last = last_span(p, now);

	return last.probe < LITTLE * allowed(p, last.cpu, last.wall);
}

static void leave_all(struct pace *p, const struct spent *s, bool cut, uint64_t now)
{
	if (p->options.dear && !p->sliced) {
		enter(p, MODE_SLICED, now);
		return;
	}
	if (!cut && (suffices(p, s, 1) || has_spent_little(p, now)))
		return;
	if (may_sample(p) && suffices_bare(p, s, 0.9)) {
		p->options.sample_bytes = SAMPLE_FIRST;
		enter(p, MODE_SAMPLED, now);
	} else {
		enter(p, MODE_SLICED, now);
	}
}

static void leave_sampled(struct pace *p, const struct spent *s, bool cut, uint64_t now)
{
	if (cut) {
		enter(p, MODE_SLICED, now);
	} else if (now - p->mode_since >= SETTLE_NS) {
		if (!suffices(p, s, 1) && s->stack > 0.2 * s->probe && p->options.sample_bytes < SAMPLE_MAX)
			p->options.sample_bytes *= 4;
		else if (!suffices(p, s, 1))
			enter(p, MODE_SLICED, now);
		else if (suffices(p, s, 0.4))
			p->options.sample_bytes /= 4;
		else
			return;
		p->mode_since = now;
		if (p->options.sample_bytes < SAMPLE_FIRST / 4)
			enter(p, MODE_ALL, now);
	}
}

/* What the last 5 s would have been with probes on all the time, as the process's own time costs in cells. */
static struct spent all_on(const struct pace *p, uint64_t now)
{
	const struct cell_means *c = &p->cell;
	struct spent last = account_last(&p->account, now, PACE_SPAN_NS);
	double cells = c->own > 0 ? last.own / c->own : 0;

	return (struct spent){.cpu = last.own + cells * c->probe,
			      .probe = cells * c->probe,
			      .stack = cells * c->stack,
			      .wall = last.wall};
}

/* In cells all stacks are taken: with all of them, or with few, probes could be on all the time. */
static void leave_sliced(struct pace *p, uint64_t now)
{
	const struct spent s = all_on(p, now);

	if (now - p->mode_since < SETTLE_NS || p->cell.cnt < CELLS_MIN)
		return;
	if (suffices(p, &s, 0.75)) {
		enter(p, MODE_ALL, now);
	} else if (may_sample(p) && suffices_bare(p, &s, 0.85)) {
		p->options.sample_bytes = 4 * SAMPLE_FIRST;
		enter(p, MODE_SAMPLED, now);
	}
}

static void blend(double *mean, double value, unsigned cnt)
{
	*mean += (value - *mean) / (cnt < 8 ? cnt + 1 : 8);
}

/* A cell that was on has ended; what its end costs comes with the step after it. */
static void take_cell(struct pace *p, const struct spent *s, double hits)
{
	struct cell_means *c = &p->cell;

	blend(&c->cpu, s->cpu, c->cnt);
	blend(&c->probe, s->probe, c->cnt);
	blend(&c->stack, s->stack, c->cnt);
	blend(&c->own, s->own, c->cnt);
	blend(&c->hits, hits, c->cnt);
	blend(&c->wall, s->wall, c->cnt);
	blend(&c->cost, s->probe + p->pending_cost, c->cnt);
	blend(&c->ours, s->ours + p->pending_ours, c->cnt);
	c->cnt++;
	p->pending_cost = p->pending_ours = 0;
}

/* Books what has passed since the last reading, on or off. */
static void take_time(struct pace *p, const struct pace_reading *now, bool on)
{
	const struct pace_reading *last = &p->last;
	struct progress progress = pace_progress(p, last, now);
	struct spent s = {
		.cpu = (double)account_since(now->cpu_ns, last->cpu_ns),
		.own = (double)progress.own,
		.wall = (double)account_since(now->time_ns, last->time_ns),
		.ours = (double)account_since(now->ours_ns, last->ours_ns),
	};

	s.probe = fmin(p->evidence.correction.factor * (double)account_since(now->probe_ns, last->probe_ns),
		       s.cpu);
	s.stack = fmin(p->evidence.correction.factor * (double)account_since(now->stack_ns, last->stack_ns),
		       s.probe);
	if (on && progress.by_share) {
		s.shared = s.cpu;
		s.guessed = s.own;
	} else if (on) {
		s.own_on = s.own;
	}
	account_add(&p->account, now->time_ns, &s);
	evidence_add(&p->evidence, last, now,
		     !on            ? EVIDENCE_OFF
		     : p->step.sure ? EVIDENCE_SURE
				    : EVIDENCE_CELL,
		     s.own);
	if (p->mode == MODE_SLICED && on) {
		take_cell(p, &s, (double)account_since(now->hits, last->hits));
	} else if (!on) {
		p->pending_cost += s.probe;
		p->pending_ours += s.ours;
		if (!p->step.on && s.wall >= (double)MS)
			p->off_rate += (s.own / s.wall - p->off_rate) * s.wall / (s.wall + (double)RATE_NS);
	}
	p->last = *now;
}

void pace_begun(struct pace *p, const struct pace_reading *now)
{
	take_time(p, now, false);
}

/* Before it was ever off, it is as it was with probes on. */
static void first_off_rate(struct pace *p, uint64_t now)
{
	struct spent s = account_last(&p->account, now, NSEC_PER_SEC);

	if (s.wall > 0)
		p->off_rate = fmax(s.cpu / s.wall, p->off_rate);
}

/* What a cell is expected to be like, as the last time was with probes on: it is the shortest, and switching
 * is dear. */
static struct cell_means first_cell(const struct pace *p, uint64_t now)
{
	struct spent s = account_last(&p->account, now, 2 * ACCOUNT_BUCKET_NS);
	double part = s.wall > 0 ? CELL_MIN_NS / s.wall : 0;

	return (struct cell_means){.ours = OURS_NS,
				   .cost = part * s.probe + OURS_NS,
				   .cpu = part * s.cpu,
				   .own = s.wall > 0 ? part * s.own : 0.2 * CELL_MIN_NS,
				   .wall = CELL_MIN_NS};
}

struct pace_step pace_next(struct pace *p, const struct pace_reading *now)
{
	bool cut = p->step.on && p->step.quota && account_since(now->hits, p->last.hits) >= p->step.quota;
	struct pace_step was = p->step;
	struct spent second;
	enum mode mode = p->mode;

	take_time(p, now, was.on);
	second = account_last(&p->account, now->time_ns, NSEC_PER_SEC);
	if (p->mode == MODE_ALL)
		leave_all(p, &second, cut, now->time_ns);
	else if (p->mode == MODE_SAMPLED)
		leave_sampled(p, &second, cut, now->time_ns);
	else
		leave_sliced(p, now->time_ns);
	if (p->mode != MODE_SLICED) {
		p->step = sure_step(p, now->time_ns);
	} else if (mode != MODE_SLICED) {
		first_off_rate(p, now->time_ns);
		p->sliced = true;
		p->cell = first_cell(p, now->time_ns);
		p->pending_ours = 0;
		p->toss_again = true;
		p->step = (struct pace_step){.chance = 0.01,
					     .length_ns = (uint64_t)fmin(mean_off(p, now->time_ns), RATE_NS)};
	} else if (was.on || p->toss_again) {
		p->step = toss(p, now->time_ns);
	} else {
		p->step = cell_step(p, was.chance, was.cell_ns);
	}
	if (p->mode == MODE_SAMPLED || p->options.stacks_sampled)
		p->step.sample_bytes = p->options.sample_bytes;
	p->step.free_sample_bytes = p->options.free_sample_bytes;
	return p->step;
}

struct pace *pace_new(const struct pace_options *options, const struct pace_reading *begin)
{
	struct pace *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->options = *options;
	p->last = *begin;
	evidence_begin(&p->evidence, begin);
	p->mode_since = begin->time_ns;
	p->random = options->seed;
	return p;
}

void pace_free(struct pace *p)
{
	free(p);
}

void pace_share(struct pace *p, double max_share, double core_share)
{
	p->options.max_share = max_share;
	p->options.core_share = core_share;
}

struct progress pace_progress(const struct pace *p, const struct pace_reading *from,
			      const struct pace_reading *to)
{
	return progress_own(&p->evidence.correction, evidence_hit_ns(&p->evidence),
			    account_since(to->cpu_ns, from->cpu_ns), evidence_probe_ns(from, to),
			    evidence_hits(from, to));
}

double pace_hits(const struct pace *p)
{
	return p->cell.own > 0 ? p->cell.hits * NSEC_PER_SEC / p->cell.own : 0;
}

/* Part of the process's own time with probes on, as far as that is known by now. */
static double duty(const struct spent *s, const struct progress *now, bool on)
{
	double own = s->own + (double)now->own;
	double was_on = s->own_on + (now->share > 0 ? now->share * s->shared : s->guessed);

	return own > 0 ? fmin((was_on + (on ? (double)now->own : 0)) / own, 1) : on;
}

void pace_view(const struct pace *p, const struct pace_reading *now, struct pace_view *view)
{
	struct spent last = account_last(&p->account, p->last.time_ns, PACE_SPAN_NS);
	struct progress progress = pace_progress(p, &p->last, now);

	*view = (struct pace_view){
		.duty = duty(&p->account.total, &progress, p->step.on),
		.duty_now = duty(&last, &progress, p->step.on),
		.correction = p->evidence.correction.factor,
		.sliced = p->sliced,
	};
	last.cpu += (double)account_since(now->cpu_ns, p->last.cpu_ns);
	last.probe += p->evidence.correction.factor * (double)account_since(now->probe_ns, p->last.probe_ns);
	view->share = last.cpu > 0 ? fmin(last.probe / last.cpu, 1) : 0;
}
