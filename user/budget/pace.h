/*
 * The pace of allocation probes under a budget: when they are on, with what chance, and which stacks
 * are taken. Pure: it is fed with what a process and its probes have used, and says what to do next.
 *
 *   pace.c      which mode, which step is next
 *   account.c   what was spent of the budget: sums over the last 5 s, the rates that steps are made from
 *   evidence.c  what tells what probes really cost
 *   progress.c  what a process has had for itself: its CPU time less what probes took, as corrected
 *
 * While the budget suffices, one sure cell goes on and on. When it does not, stacks are sampled by
 * bytes, if that is enough. If it is not, the process's own CPU time is divided into cells: each is on
 * with a chance that depends on what was seen before it only, and on a coin of its own. So every
 * block's birth and death is seen with a known chance, whatever the target's own rhythm, and two of
 * them in different cells independently (heap/estimate.h builds on that). A cell that is off is as
 * long as one that is on takes without the probes; a run of those is one step, and two cells that are
 * on in succession are not switched between.
 *
 * Our own CPU time for switching has a budget as large as the probes': where a process is hit little in a cell
 * (it sleeps most of the time), that is what limits the number of cells, and they are longer instead.
 *
 * In cells all stacks are taken: a hit's trap costs as much as its stack, and without a stack it
 * tells nothing of a site.
 */
#ifndef ALLOCTRACE_BUDGET_PACE_H
#define ALLOCTRACE_BUDGET_PACE_H

#include <stdbool.h>
#include <stdint.h>

#include "budget/progress.h"

#define PACE_LOOK_NS 100000 /* of a CPU's time */
#define PACE_SPAN_NS 5000000000ULL /* that the budget holds over */
/*
 * Of one core, what probes may take of any process, however little it uses: some thousand pairs of malloc and free a
 * second with their stacks. A tenth of what a service uses that sleeps most of the time would hide it from us, and
 * nobody would be better off.
 */
#define PACE_CORE_SHARE 0.005

struct pace_options {
	double max_share;       /* of the process's CPU time, 0 < max_share ≤ 1 */
	double core_share;      /* of time, which it may take in any case; 0: only of its CPU time */
	bool dear;              /* begins with cells: that the budget suffices for all is unlikely */
	bool stacks_sampled;    /* the user has chosen how stacks are taken: it is left so */
	uint64_t sample_bytes, free_sample_bytes; /* that, or what to begin with; 0: all stacks */
	uint64_t seed;          /* of the coins */
};

/* Cumulative since the attach, ns of CPU time. */
struct pace_reading {
	uint64_t time_ns;  /* CLOCK_MONOTONIC */
	uint64_t cpu_ns;   /* that the process has used, probes included */
	uint64_t probe_ns; /* that probes took of it: hits × calibrated cost, what their programs were seen to take, switches */
	uint64_t stack_ns; /* … of that for taking stacks */
	uint64_t hits;     /* of probes, recorded or not */
	/* The same of the process's other probes, which have a pace of their own, or none: not its own time either. */
	uint64_t others_ns, others_hits;
	/*
	 * Of its CPU time while probes were hit, what the kernel's ticks found in user and in system mode. 0: not
	 * known.
	 */
	uint64_t user_ns, system_ns;
	/*
	 * The same of cells that are not sure, by looks at it (probe/looks.h), PACE_LOOK_NS apart: where probes'
	 * cost can be told from its own time at all, the kernel's ticks take minutes to. 0: there are none.
	 */
	uint64_t user_look_ns, system_look_ns;
	/* The same of all its CPU time, hit or not. 0: not known. */
	uint64_t all_user_ns, all_system_ns;
	/*
	 * Of milestones (probe/milestones.h): which stand, a number for each set of them, and how often they were
	 * passed. 0: none.
	 */
	uint32_t milestones;
	uint64_t passes;
	uint64_t ours_ns; /* that we have used ourselves for placing and removing its probes */
};

struct pace_step {
	bool on;
	bool sure;           /* goes on until pace_next says otherwise: to be asked again after length_ns, or when the quota is used up */
	double chance;       /* that it is on: decided before the coin fell; 1 if sure */
	uint64_t cell_ns;    /* not sure: the process's own CPU time that the coins' cells were taken to be long */
	uint64_t length_ns;
	uint64_t quota;      /* hits from now on after which the kernel side ends it */
	uint64_t sample_bytes, free_sample_bytes; /* from now on; 0: all stacks */
};

struct pace; /* budget/pace.c */

struct pace *pace_new(const struct pace_options *options, const struct pace_reading *begin); /* NULL: no memory */
void pace_free(struct pace *pace); /* NULL-safe */
/* Other shares from now on: others have come that share the budget, or have gone. */
void pace_share(struct pace *pace, double max_share, double core_share);
/* The last step has ended at that reading, by its length or its quota: the next one. */
struct pace_step pace_next(struct pace *pace, const struct pace_reading *now);
/*
 * The probes of a step that is on stand only now, if they had to be placed: what has passed since pace_next was
 * the switch to it.
 */
void pace_begun(struct pace *pace, const struct pace_reading *now);

/* The CPU time that the process had for itself between two readings. */
struct progress pace_progress(const struct pace *pace, const struct pace_reading *from, const struct pace_reading *to);

/* Hits a second of its own CPU time in the last cells; 0: there were none. */
double pace_hits(const struct pace *pace);

struct pace_view {
	double share;    /* that the probes took of the last 5 s */
	double duty;     /* of the process's own CPU time since the attach, that with the probes on */
	double duty_now; /* … of the last 5 s */
	double correction; /* what probes really cost, against what was calibrated; 1: as calibrated */
	bool sliced;     /* there were cells that were off */
};

/* now: what has passed of the step is in it. */
void pace_view(const struct pace *pace, const struct pace_reading *now, struct pace_view *view);

#endif
