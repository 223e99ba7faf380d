#include "budget/progress.h"

#include <math.h>

#define TICK_NS 4e6       /* HZ=250; at 1000 the error is half of that, and counted too large */
#define TRAP_USER_NS 57.0 /* of each trap, counted as user time */
#define TRAPS_PER_HIT 1.5 /* an allocation's two and a free's one */
#define PRIOR_ERROR 0.1   /* of the calibration */
#define TICKS_MIN 50      /* fewer say nothing */
#define FACTOR_MIN 0.5
#define FACTOR_MAX 2.0

struct correction progress_correction(const struct progress_sums *s)
{
	struct correction c = {.factor = 1, .error = PRIOR_ERROR};
	double ticks = s->user + s->system, off_user, off_system, own, probe, seen, error, weight;

	if (ticks < TICKS_MIN * TICK_NS || s->cpu <= 0 || s->probe <= 0 || s->all_user <= 0)
		return c;
	off_user = s->all_user - s->user;
	off_system = s->all_system - s->system - s->others_off;
	if (off_user < TICKS_MIN * TICK_NS || off_system < 0)
		return c;
	/* The ticks are a sample of that CPU time: probes' cost in the same proportion. */
	probe = s->probe * ticks / s->cpu;
	own = (s->user - TRAP_USER_NS * TRAPS_PER_HIT * s->hits * ticks / s->cpu) *
	      (1 + off_system / off_user);
	seen = (ticks - own) / probe;
	error = sqrt(TICK_NS * s->user * s->system / ticks) * (1 + off_system / off_user) / probe;
	if (!(error > 0))
		return c;
	weight = 1 / (PRIOR_ERROR * PRIOR_ERROR) + 1 / (error * error);
	c.factor = (1 / (PRIOR_ERROR * PRIOR_ERROR) + seen / (error * error)) / weight;
	c.factor = fmin(fmax(c.factor, FACTOR_MIN), FACTOR_MAX);
	c.error = 1 / sqrt(weight);
	return c;
}

uint64_t progress_own(const struct correction *c, uint64_t cpu_ns, uint64_t probe_ns, uint64_t *error)
{
	double taken = c->factor * (double)probe_ns;

	if (error)
		*error = (uint64_t)fmin(c->error * (double)probe_ns, (double)cpu_ns);
	return taken < (double)cpu_ns ? cpu_ns - (uint64_t)taken : 0;
}
