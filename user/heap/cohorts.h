/*
 * How much of what was seen to be born in cells is still alive: a site's blocks by age (heap/estimate.h says
 * why). Fed with the births, deaths and other ends that cells saw; knows no blocks.
 *
 * Ages are counted in cells that were on. A class is as many of them as its place says; classes grow older
 * together, so that a block's tick tells its class.
 */
#ifndef ALLOCTRACE_HEAP_COHORTS_H
#define ALLOCTRACE_HEAP_COHORTS_H

#include <stdbool.h>
#include <stdint.h>

#include "heap/mortality.h"
#include "heap/sites.h"

#define COHORT_CNT 12

enum figure { CNT, BYTES, FIGURE_CNT };

struct tally {
	double v[FIGURE_CNT];
};

void tally_add(struct tally *t, const struct tally *more, double times);
struct tally tally_of(struct site_count count);

/* Of a process: what is the same for all sites. */
struct ages {
	uint64_t cells;              /* that have ended and were not sure */
	uint32_t from[COHORT_CNT];   /* the least tick of blocks of that class */
	double from_own[COHORT_CNT]; /* … and own time, ns */
	double own;                  /* now: ns of own time */
	double weight;               /* of the last cell, ≥ 1 */
	double stands_for;           /* ns of own time that a cell stands for, lately */
	double old_turn;             /* cohorts_old_turn of all sites together */
	double stay;                 /* odds that a site's blocks never die, before anything was seen of it */
	double reused;               /* of the addresses of dead blocks, how many others take at once: 0…1 */
};

/* Blocks of an age, by weight. */
struct cohort {
	struct tally alive;    /* as estimated */
	struct tally looking;  /* that nothing has shown to be dead */
	struct tally free;     /* of looking, those that are dead and whose addresses nobody has taken, about */
	struct tally variance; /* of alive, by chance of births */
	struct tally spread;   /* … of deaths */
	bool beyond; /* so old that most of it has died: what does not die there may be others' */
	struct exposure seen;
};

/* Of a site. All zero to begin with. */
struct cohorts {
	struct cohort v[COHORT_CNT];
	uint64_t at;          /* cells that they have come through */
	double deaths, ages;  /* weighed deaths, and the sum of the ages that they died at, ns of own time */
	double seen, as_pool; /* deaths that were seen, and as many as should be if they were like the pool's: blocks */
	double weight;        /* of the last cell that they were seen in */
	double turned, lived; /* of those not much older: deaths, and how long they had lived altogether */
	/* Seen in the cell that is on. */
	struct tally dead[COHORT_CNT], replaced[COHORT_CNT];
};

enum cohort_end {
	COHORT_DIED,     /* its free was seen */
	COHORT_REPLACED, /* another was allocated there: its free was not seen */
	COHORT_BURIED,   /* a walk has found it dead, or it was lost in another way */
};

unsigned ages_class(const struct ages *ages, uint32_t tick);
/* A cell has ended, the cells-th: blocks that are born from that tick on are of the first class. */
void ages_pass(struct ages *ages, uint32_t tick);

/* A block, by weight, looks alive no more. */
void cohorts_leave(struct cohorts *cohorts, unsigned class, const struct tally *block, enum cohort_end end);
/*
 * Deaths of the cell that ends now, of that weight and progress (ns); then cohorts_born, then cohorts_pass. pool: the
 * same of all sites together, of which a site that was seen little borrows; NULL: none.
 */
void cohorts_die(struct cohorts *cohorts, const struct cohorts *pool, const struct ages *ages, double weight,
		 double progress);
/* The same of a cell that was sure: all deaths are seen. */
void cohorts_die_seen(struct cohorts *cohorts);
/* So many weighed blocks were alive at the end of the cell, of such cells usually that many; weight: its own, 1: sure. */
void cohorts_born(struct cohorts *cohorts, const struct tally *alive, const struct tally *usual, double weight);
/* Blocks that lived and died within the cell, of that progress. */
void cohorts_short(struct cohorts *cohorts, const struct tally *dead, double weight, double progress);
/* They have come through the cell: all grow older. */
void cohorts_pass(struct cohorts *cohorts);
/* Cells in which nothing of them was seen. */
void cohorts_catch_up(struct cohorts *cohorts, const struct cohorts *pool, const struct ages *ages);

struct living {
	double alive, variance;
	double most; /* by what looks alive */
	double may;  /* be alive: where few deaths were seen they might not die at all */
	double doubt; /* of alive, what is inferred only: 0 where all that looks alive is taken to be */
};

/* Of what cells saw, how many would be alive at the last one's end. */
struct tally cohorts_alive(const struct cohorts *cohorts);
/* Of all. pool: as above. */
struct living cohorts_living(const struct cohorts *cohorts, const struct cohorts *pool, enum figure figure);
/*
 * So many blocks are alive, as a walk has counted: what is in doubt is taken to be more, or fewer, so that what was
 * wrong does not add up from one walk to the next. ≥ 0.
 */
void cohorts_agree(struct cohorts *cohorts, const struct cohorts *pool, double blocks);
/*
 * Where blocks are so old that those of their age have died: as many deaths are seen at an address in an ns of own
 * time, whosever they are. 0: not known.
 */
double cohorts_old_turn(const struct cohorts *cohorts);
/* Of what looks alive, how many are taken to be: 0…1. */
double cohorts_share_alive(const struct cohorts *cohorts);

#endif
