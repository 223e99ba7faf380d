/*
 * What a process has had of its CPU time for itself: all of it less what probes took, where the
 * calibrated cost of the probes is corrected by what was found at the process itself.
 *
 * By ticks and looks. A probe runs in the kernel. Of n ticks that fell while probes were hit, those in user mode are
 * the process's own, but for the trap itself (the return from it counts as user time, and the program's data has
 * left the caches meanwhile: 57 ns in a loop of nothing else, 115 to 170 in programs with data, measured on 6.18; what
 * is in between is taken, with that error); those in system mode are the probes' and its own system calls', which are
 * to its user time as where there are no probes. So with U and S the ticks' time in user and system mode, b the traps'
 * part of U and r the process's own system over user time elsewhere,
 *
 *     own = (U − b) (1 + r),  correction = (U + S − own) / calibrated cost.
 *
 * The standard error of U is that of a binomial, √(tick · U S / (U + S)).
 *
 * By milestones (probe/milestones.h). How often the process passes them is as it has it for itself, whatever probes
 * take: of M_on passes in cells and M_off in its own time V without probes,
 *
 *     own = V M_on / M_off,
 *
 * which does not depend on what traps do to the program. Its standard error is that of M_on, by how far cells are from
 * the ratio of passes to hits in all of them, at least Poisson's, and that of M_off.
 *
 * The calibration itself is given ±20 %, and all are weighted by their errors: with few ticks and passes the
 * correction is near 1.
 */
#ifndef ALLOCTRACE_BUDGET_PROGRESS_H
#define ALLOCTRACE_BUDGET_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress_sums { /* ns of CPU time, while probes were on */
	double tick; /* ns that one stands for */
	double user, system; /* ticks */
	double cpu, probe;   /* of the process in that time, and of it all probes, as calibrated */
	double hits;
	double others_off; /* that other probes took in other time */
	double all_user, all_system; /* of the process in all time; 0: not known */
};

struct progress_passes { /* of one set of milestones */
	double on, off;          /* in cells, and without probes */
	double off_own;          /* ns of own time without probes */
	double cpu, probe, hits; /* in cells, as above */
	double on_on, on_hits, hits_hits; /* Σ over cells of products */
};

struct correction {
	double factor; /* of the calibrated cost */
	double error;  /* one standard error of factor */
	double share, share_error; /* own part of the CPU time in cells, on average, not by the calibration; error 0: not known */
};

/* prior: what is known without these ticks. */
struct correction progress_correction(const struct progress_sums *sums, const struct correction *prior);
/*
 * What passes say by themselves; error 0: nothing. likely: the share that they are expected to show, 0: not known. Where
 * by chance they show less, their error is not smaller for that.
 */
struct correction progress_by_passes(const struct progress_passes *passes, double likely);
/* What two that know nothing of each other say together; one whose error is 0 says nothing. */
struct correction progress_together(const struct correction *a, const struct correction *b);
/* A cell, or so long without probes, is added: of many the older ones count less and less. */
void progress_add_cell(struct progress_passes *passes, double on, double cpu, double probe, double hits);
void progress_add_off(struct progress_passes *passes, double off, double own);
struct progress {
	uint64_t own, error; /* ns, and one standard error */
	bool by_share; /* probes took nearly all: what is left would be lost in the error of their cost, and is told by its usual part */
	double share, share_error; /* of CPU time in cells, as it is known by now; 0: it is not */
};

/*
 * Own time out of cpu_ns of which probes took probe_ns, as calibrated, with so many hits; never less than hits
 * cannot do without, 4 ns each (glibc's malloc and free in a loop of nothing else take 8.8 ns). usual_hit_ns: what
 * hits in cells are calibrated at on average; 0: not known.
 *
 * By its share, and not by so much for each hit: where the machine is slower for a while, sums of what was seen are
 * right all the same, and sites of such times too. Where hits cost more than others (a time of allocations, and then one
 * of frees: taken alike, the former came out a quarter too few), its share is smaller.
 */
struct progress progress_own(const struct correction *correction, double usual_hit_ns, uint64_t cpu_ns,
			     uint64_t probe_ns, uint64_t hits);

#endif
