#include "budget/progress.h"

#include <math.h>

#define TRAP_USER_NS 140.0 /* of each trap, counted as user time */
#define TRAP_ERROR_NS 40.0 /* of that */
#define TRAPS_PER_HIT 1.5  /* an allocation's two and a free's one */
#define HIT_OWN_NS 4.0
#define ALLOCATOR_NS 50.0 /* of own time between two hits, that the allocator has */
#define LOST 0.3          /* an error of that part of the rest loses it */
#define COST_SPREAD 0.12  /* of what hits cost, from one stretch to another: as the machine is busy; */
#define WIDE_SPREAD                                                                                          \
	0.4 /* … where the usual share is known: virtual machines were seen to be half as fast for seconds \
	     */
#define KNOWN 0.25       /* an error of that part or less */
#define TICKS_MIN 50     /* fewer say nothing */
#define PASSES_MIN 20    /* likewise */
#define PASSES_KEPT 4096 /* in cells: from there on the older half counts half */
#define FACTOR_MIN 0.5
#define FACTOR_MAX 2.0

/* Both by their errors. */
static void weigh(double *mean, double *error, double other, double other_error)
{
	double weight = 1 / (*error * *error), more = 1 / (other_error * other_error);

	*mean = (*mean * weight + other * more) / (weight + more);
	*error = 1 / sqrt(weight + more);
}

struct correction progress_together(const struct correction *a, const struct correction *b)
{
	struct correction c = *a;

	if (!(b->error > 0))
		return c;
	if (!(a->error > 0))
		return *b;
	weigh(&c.factor, &c.error, b->factor, b->error);
	if (!(c.share_error > 0)) {
		c.share = b->share;
		c.share_error = b->share_error;
	} else if (b->share_error > 0) {
		weigh(&c.share, &c.share_error, b->share, b->share_error);
	}
	return c;
}

/* What own ns (± error) out of cpu say of probes that were said to take so much. */
static struct correction said(double own, double error, double cpu, double probe)
{
	return (struct correction){
		.factor = fmin(fmax((cpu - own) / probe, FACTOR_MIN), FACTOR_MAX),
		.error = error / probe,
		.share = own / cpu,
		.share_error = error / cpu,
	};
}

struct correction progress_correction(const struct progress_sums *s, const struct correction *prior)
{
	double ticks = s->user + s->system, all = s->cpu / ticks, off_user, off_system, own, error;
	struct correction c;

	if (ticks < TICKS_MIN * s->tick || s->cpu <= 0 || s->probe <= 0 || s->all_user <= 0)
		return *prior;
	off_user = s->all_user - s->user;
	off_system = fmax(s->all_system - s->system - s->others_off, 0);
	if (off_user < TICKS_MIN * s->tick)
		return *prior;
	/* The ticks are a sample of that CPU time. */
	own = (s->user * all - TRAP_USER_NS * TRAPS_PER_HIT * s->hits) * (1 + off_system / off_user);
	error = sqrt(s->tick * s->user * s->system / ticks) * all * (1 + off_system / off_user);
	error = hypot(error, TRAP_ERROR_NS * TRAPS_PER_HIT * s->hits);
	c = said(own, error, s->cpu, s->probe);
	return progress_together(prior, &c);
}

/* Of passes in cells: what cells' own passes are beside what their hits let expect. */
static double variance_on(const struct progress_passes *p)
{
	double ratio = p->hits > 0 ? p->on / p->hits : 0;

	return fmax(p->on_on - 2 * ratio * p->on_hits + ratio * ratio * p->hits_hits, p->on);
}

struct correction progress_by_passes(const struct progress_passes *p, double likely)
{
	double own, relative;

	if (p->on < PASSES_MIN || p->off < PASSES_MIN || p->cpu <= 0 || p->probe <= 0)
		return (struct correction){.error = 0};
	own = p->off_own * p->on / p->off;
	relative = sqrt(variance_on(p) / (p->on * p->on) + 1 / p->off);
	/* As many passes as were likely vary by the root of that. */
	return said(own, relative * sqrt(own * fmax(own, likely * p->cpu)), p->cpu, p->probe);
}

void progress_add_cell(struct progress_passes *p, double on, double cpu, double probe, double hits)
{
	if (p->on > PASSES_KEPT) {
		double *sums[] = {&p->on,   &p->off,   &p->off_own, &p->cpu,      &p->probe,
				  &p->hits, &p->on_on, &p->on_hits, &p->hits_hits};

		for (unsigned i = 0; i < sizeof(sums) / sizeof(sums[0]); i++)
			*sums[i] /= 2;
	}
	p->on += on;
	p->cpu += cpu;
	p->probe += probe;
	p->hits += hits;
	p->on_on += on * on;
	p->on_hits += on * hits;
	p->hits_hits += hits * hits;
}

void progress_add_off(struct progress_passes *p, double off, double own)
{
	p->off += off;
	p->off_own += own;
}

/* Of a normal variable of which is known that it is above 0: its mean, where it may seem to be below. */
static double positive_mean(double mean, double error)
{
	double z = mean / error;

	if (!(error > 0) || z > 4)
		return mean;
	return mean + error * exp(-z * z / 2) / (sqrt(M_PI / 2) * erfc(-z / M_SQRT2));
}

/*
 * The usual share, where hits cost as much as usually. Of a time of dear ones (allocations more than frees)
 * less of it is own, if as much of that is between two hits; but what the allocator itself does, beside which
 * there may be nothing, is the more the dearer they are. By what hits are calibrated at, not by what they
 * took: that differs as the machine does.
 */
static double share_of_hits(double share, double factor, double hit_ns, double usual_hit_ns)
{
	double dear = hit_ns / usual_hit_ns, own_ns, alike;

	if (!(hit_ns > 0) || !(usual_hit_ns > 0) || share >= 1)
		return share;
	own_ns = share / (1 - share) * factor * usual_hit_ns;
	alike = 1 - fmin(ALLOCATOR_NS / own_ns, 1);
	return 1 / (1 + (1 / share - 1) * dear / (alike + (1 - alike) * dear));
}

struct progress progress_own(const struct correction *c, double usual_hit_ns, uint64_t cpu_ns,
			     uint64_t probe_ns, uint64_t hits)
{
	double cpu = (double)cpu_ns, probe = (double)probe_ns, least = HIT_OWN_NS * (double)hits;
	double rest = cpu - c->factor * probe, wrong = c->error * probe, spread;
	struct progress p = {.share = 0};

	if (c->share_error > 0) {
		/* Further below nothing than its error: what traps take was taken to be too much. */
		p.share = fmin(positive_mean(fmax(c->share, -c->share_error), c->share_error), 1);
		p.share_error = c->share_error;
	}
	spread = p.share_error < KNOWN * p.share ? WIDE_SPREAD : COST_SPREAD;
	p.by_share = hits && hypot(wrong, spread * probe) > LOST * rest;
	if (p.by_share && p.share > 0) {
		double share = share_of_hits(p.share, c->factor, probe / (double)hits, usual_hit_ns);

		rest = share * cpu;
		wrong = p.share_error * share / p.share * cpu;
	}
	p.own = (uint64_t)fmin(fmax(rest, least), cpu);
	p.error = (uint64_t)fmin(wrong, cpu);
	return p;
}
