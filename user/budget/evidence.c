#include "budget/evidence.h"

#include "budget/account.h"

#define TICK_NS                                                                                              \
	4e6 /* of the kernel's, at 250 Hz; at 1000 the error is half of that, and counted too large          \
	     */

/* 18 % too much was seen on a loaded machine. */
static const struct correction calibrated = {.factor = 1, .error = 0.2};

void evidence_begin(struct evidence *e, const struct pace_reading *begin)
{
	*e = (struct evidence){
		.ticks.tick = TICK_NS,
		.looks.tick = PACE_LOOK_NS,
		.all_user0 = begin->all_user_ns,
		.all_system0 = begin->all_system_ns,
		.correction = calibrated,
	};
}

uint64_t evidence_probe_ns(const struct pace_reading *from, const struct pace_reading *to)
{
	return account_since(to->probe_ns, from->probe_ns) + account_since(to->others_ns, from->others_ns);
}

uint64_t evidence_hits(const struct pace_reading *from, const struct pace_reading *to)
{
	return account_since(to->hits, from->hits) + account_since(to->others_hits, from->others_hits);
}

double evidence_hit_ns(const struct evidence *e)
{
	return e->looks.hits > 0 ? e->looks.probe / e->looks.hits : 0;
}

static void add_ticks(const struct evidence *e, struct progress_sums *sums, uint64_t user, uint64_t system,
		      const struct pace_reading *from, const struct pace_reading *to)
{
	sums->user += (double)user;
	sums->system += (double)system;
	sums->cpu += (double)account_since(to->cpu_ns, from->cpu_ns);
	sums->probe += (double)evidence_probe_ns(from, to);
	sums->hits += (double)evidence_hits(from, to);
	sums->all_user = (double)account_since(to->all_user_ns, e->all_user0);
	sums->all_system = (double)account_since(to->all_system_ns, e->all_system0);
}

/* Passes count where one set of milestones stood all the time; what others said is kept. */
static void add_passes(struct evidence *e, const struct pace_reading *from, const struct pace_reading *to,
		       enum evidence_of of, double own)
{
	double passes = (double)account_since(to->passes, from->passes);

	if (to->milestones != e->milestones) {
		struct correction of_these = progress_by_passes(&e->passes, e->correction.share);

		e->earlier = progress_together(&e->earlier, &of_these);
		e->passes = (struct progress_passes){.on = 0};
		e->milestones = to->milestones;
	}
	if (!to->milestones || from->milestones != to->milestones)
		return;
	if (of == EVIDENCE_OFF)
		progress_add_off(&e->passes, passes, own);
	else if (of == EVIDENCE_CELL)
		progress_add_cell(&e->passes, passes, (double)account_since(to->cpu_ns, from->cpu_ns),
				  (double)evidence_probe_ns(from, to), (double)evidence_hits(from, to));
}

void evidence_add(struct evidence *e, const struct pace_reading *from, const struct pace_reading *to,
		  enum evidence_of of, double own)
{
	struct correction passes;

	add_passes(e, from, to, of, own);
	if (of == EVIDENCE_OFF) {
		e->ticks.others_off = e->looks.others_off +=
			(double)account_since(to->others_ns, from->others_ns);
		return;
	}
	add_ticks(e, &e->ticks, account_since(to->user_ns, from->user_ns),
		  account_since(to->system_ns, from->system_ns), from, to);
	if (of == EVIDENCE_CELL)
		add_ticks(e, &e->looks, account_since(to->user_look_ns, from->user_look_ns),
			  account_since(to->system_look_ns, from->system_look_ns), from, to);
	e->correction = progress_correction(&e->ticks, &calibrated);
	e->correction = progress_correction(&e->looks, &e->correction);
	e->correction = progress_together(&e->correction, &e->earlier);
	passes = progress_by_passes(&e->passes, e->correction.share);
	e->correction = progress_together(&e->correction, &passes);
}
