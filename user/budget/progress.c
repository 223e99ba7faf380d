#include "budget/progress.h"

#include <math.h>

#define TRAP_USER_NS                                                                                         \
	125.0 /* of each trap, counted as user time: 57 to 170, as much of the program's data is out of the  \
		 caches */
#define TRAP_ERROR_NS 45.0 /* of that */
#define TRAPS_PER_HIT 1.5  /* an allocation's two and a free's one */
#define HIT_OWN_NS 4.0
#define LOST 0.3         /* an error of that part of the rest loses it */
#define COST_SPREAD 0.12 /* of what hits cost, from one stretch to another: as the machine is busy */
#define TICKS_MIN 50     /* fewer say nothing */
#define FACTOR_MIN 0.5
#define FACTOR_MAX 2.0

struct correction progress_correction(const struct progress_sums *s, const struct correction *prior)
{
	struct correction c = *prior;
	double ticks = s->user + s->system, off_user, off_system, own, probe, seen, error, weight;

	if (ticks < TICKS_MIN * s->tick || s->cpu <= 0 || s->probe <= 0 || s->all_user <= 0)
		return c;
	off_user = s->all_user - s->user;
	off_system = fmax(s->all_system - s->system - s->others_off, 0);
	if (off_user < TICKS_MIN * s->tick)
		return c;
	/* The ticks are a sample of that CPU time: probes' cost in the same proportion. */
	probe = s->probe * ticks / s->cpu;
	own = (s->user - TRAP_USER_NS * TRAPS_PER_HIT * s->hits * ticks / s->cpu) *
	      (1 + off_system / off_user);
	seen = (ticks - own) / probe;
	error = sqrt(s->tick * s->user * s->system / ticks) * (1 + off_system / off_user);
	error = hypot(error, TRAP_ERROR_NS * TRAPS_PER_HIT * s->hits * ticks / s->cpu) / probe;
	if (s->hits > 0) {
		c.per_hit = fmax(own * s->cpu / ticks / s->hits, HIT_OWN_NS);
		c.per_hit_error = error * probe * s->cpu / ticks / s->hits;
	}
	if (!(error > 0))
		return c;
	weight = 1 / (prior->error * prior->error) + 1 / (error * error);
	c.factor = (prior->factor / (prior->error * prior->error) + seen / (error * error)) / weight;
	c.factor = fmin(fmax(c.factor, FACTOR_MIN), FACTOR_MAX);
	c.error = 1 / sqrt(weight);
	return c;
}

uint64_t progress_own(const struct correction *c, uint64_t cpu_ns, uint64_t probe_ns, uint64_t hits,
		      uint64_t *error)
{
	double rest = (double)cpu_ns - c->factor * (double)probe_ns, wrong = c->error * (double)probe_ns;

	if (c->per_hit > 0 && hypot(wrong, COST_SPREAD * (double)probe_ns) > LOST * rest) {
		rest = c->per_hit * (double)hits;
		wrong = c->per_hit_error * (double)hits;
	}
	if (error)
		*error = (uint64_t)fmin(wrong, (double)cpu_ns);
	return (uint64_t)fmin(fmax(rest, HIT_OWN_NS * (double)hits), (double)cpu_ns);
}
