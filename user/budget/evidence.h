/*
 * What readings tell of what probes really cost (budget/progress.h): ticks, looks and passes of milestones are added up
 * from one reading to the next.
 */
#ifndef ALLOCTRACE_BUDGET_EVIDENCE_H
#define ALLOCTRACE_BUDGET_EVIDENCE_H

#include "budget/pace.h"
#include "budget/progress.h"

/* What the time between two readings was. */
enum evidence_of {
	EVIDENCE_OFF,  /* the stream's probes were off, or only on their way */
	EVIDENCE_SURE, /* they were on, in a cell that is sure */
	EVIDENCE_CELL, /* … one that is not */
};

struct evidence {
	struct progress_sums ticks, looks;
	struct progress_passes passes; /* of the milestones that stand */
	struct correction earlier;     /* what those before them said; error 0: there were none */
	uint32_t milestones;           /* which stand */
	uint64_t all_user0, all_system0; /* at the beginning */
	struct correction correction;    /* what all of it comes to */
};

void evidence_begin(struct evidence *evidence, const struct pace_reading *begin);
/* All that probes took of the process's time between two readings, as calibrated; their hits. */
uint64_t evidence_probe_ns(const struct pace_reading *from, const struct pace_reading *to);
uint64_t evidence_hits(const struct pace_reading *from, const struct pace_reading *to);
/* What hits in cells were calibrated at, on average: ns; 0: there were none. */
double evidence_hit_ns(const struct evidence *evidence);
/* own: ns, what the process is taken to have had for itself meanwhile. */
void evidence_add(struct evidence *evidence, const struct pace_reading *from, const struct pace_reading *to,
		  enum evidence_of of, double own);

#endif
