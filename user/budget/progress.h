/*
 * What a process has had of its CPU time for itself: all of it less what probes took, where the
 * calibrated cost of the probes is corrected by what the kernel's ticks found.
 *
 * A probe runs in the kernel. Of n ticks that fell while probes were hit, those in user mode are the
 * process's own, but for the trap itself (the return from it counts as user time: 57 ns measured on
 * 6.18 in a loop of nothing else, and twice as much more where the program's data has left the caches meanwhile: what is in between is taken, with that error); those in system mode are the probes' and its own system
 * calls', which are to its user time as where there are no probes. So with U and S the ticks' time in
 * user and system mode, b the traps' part of U and r the process's own system over user time
 * elsewhere,
 *
 *     own = (U − b) (1 + r),  correction = (U + S − own) / calibrated cost.
 *
 * The standard error of U is that of a binomial, √(tick · U S / (U + S)). The calibration itself is
 * given ±20 %, and both are weighted by their errors: with few ticks the correction is near 1.
 */
#ifndef ALLOCTRACE_BUDGET_PROGRESS_H
#define ALLOCTRACE_BUDGET_PROGRESS_H

#include <stdint.h>

struct progress_sums { /* ns of CPU time, while probes were on */
	double tick; /* ns that one stands for */
	double user, system; /* ticks */
	double cpu, probe;   /* of the process in that time, and of it all probes, as calibrated */
	double hits;
	double others_off; /* that other probes took in other time */
	double all_user, all_system; /* of the process in all time; 0: not known */
};

struct correction {
	double factor; /* of the calibrated cost */
	double error;  /* one standard error of factor */
	double per_hit, per_hit_error; /* own ns of a hit on average, by the ticks alone; 0: not known */
};

/* prior: what is known without these ticks. */
struct correction progress_correction(const struct progress_sums *sums, const struct correction *prior);
/*
 * Own time out of cpu_ns of which probes took probe_ns, as calibrated, with so many hits; *error: one standard error,
 * may be NULL. Where probes take nearly all, the rest is lost in the error of their cost: then it is what the ticks
 * say of a hit, and never less than hits cannot do without, 4 ns each (glibc's malloc and free in a loop of nothing
 * else take 8.8 ns).
 */
uint64_t progress_own(const struct correction *correction, uint64_t cpu_ns, uint64_t probe_ns, uint64_t hits,
		      uint64_t *error);

#endif
