/*
 * A stream of a process under a budget, its turns one by one: each ends a step of its pace, chooses the next one and
 * makes it, with the marks of cells, the gate and the probes in the order that slicer.h says. Its thread, who has its
 * turn when: slicer.c. All under the slicer's lock.
 */
#ifndef ALLOCTRACE_PROBE_SLICED_H
#define ALLOCTRACE_PROBE_SLICED_H

#include <time.h>

#include "budget/pace.h"
#include "probe/attached.h"
#include "probe/looks.h"
#include "probe/reading.h"
#include "probe/slicer.h"

/*
 * Of a process's budget, what the probes of its Python objects have. What they cost beyond their hits is more than
 * with blocks: there are some two hundred of them, in the interpreter's hottest code.
 */
#define SLICED_OBJECTS_PART 0.4

/* What all streams of a slicer share. */
struct slicing {
	struct slicer_options options;
	struct reader reader;
	struct looks *looks; /* NULL: there are none */
	clockid_t clock;  /* CPU time of the slicer's thread */
	uint64_t charged; /* of that and the keeper's CPU time: it is some stream's, or nobody's */
};

/* A stream of a process. */
struct sliced {
	struct attached *attached;
	pid_t pid;
	uint32_t stream; /* CELL_BLOCKS, CELL_OBJECTS */
	struct pace *pace;
	struct pace_step step;
	uint64_t due;    /* its next turn */
	uint64_t end;    /* of the step */
	uint64_t number; /* of the newest cell */
	bool open;       /* its gate, as far as we know */
	bool placed;     /* its probes are */
	bool alarmed;    /* its gate has closed itself */
	bool postponed;  /* its turn, for others' cells */
	bool goes_on;    /* the step, with nothing but a new quota */
	bool unmade;     /* the step is chosen, its switch not made */
	bool looking;    /* looks are on for its cell */
	bool warming;    /* its turn before the end is for warm_up */
	uint64_t warm_until;
	kept_link warm;             /* of that; 0: none */
	struct pace_reading marked; /* at the last mark */
	uint64_t limit;             /* hits at which its gate closes itself */
	uint64_t carried;           /* ns of progress since it has done so: no part of the cell */
	struct system_time system;
	uint64_t ours_ns;           /* CPU time that its switches have cost us */
};

/* A stream whose gate is there and closed; in its first turn it begins. −ESRCH: the process has ended; −ENOMEM. */
int sliced_new(struct slicing *slicing, struct attached *attached, uint32_t stream, struct sliced **sliced);
void sliced_free(struct sliced *sliced); /* its gate stays as it is, and its probes */
/* Ends the cell that is open, and what makes the kernel ready for a switch. */
void sliced_end(const struct slicing *slicing, struct sliced *sliced);
/* It is due, or its gate has closed itself. */
void sliced_turn(struct slicing *slicing, struct sliced *sliced);
/* Which of those that are due is first: the highest. Cells that are to end before all others. */
int sliced_urgency(const struct sliced *sliced);
struct pace_reading sliced_read(const struct slicing *slicing, struct sliced *sliced);

#endif
