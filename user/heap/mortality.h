/*
 * How many blocks of an age die from one cell to the next, by the deaths that cells have seen at their addresses
 * (heap/estimate.h says why it is not simply these). Numbers only: heap/cohorts.h has the blocks.
 */
#ifndef ALLOCTRACE_HEAP_MORTALITY_H
#define ALLOCTRACE_HEAP_MORTALITY_H

/* From one cell to the next. */
struct passage {
	double own;    /* ns of own time */
	double turn;   /* of others, how many die, each address once a cell */
	double reused; /* of the addresses of dead blocks, how many others take at once: 0…1 */
	double unit;   /* what one death that is seen counts for, ≥ 1 */
	double memory; /* cells that sums are made over, about */
	double stay;   /* what share of a site's blocks never dies: 0…1 */
};

/* What cells have seen lately of blocks of an age, by weight. All zero to begin with. */
struct exposure {
	float died, squares;  /* deaths, and by how much each cell's were others than usual, squared */
	float before, others; /* × own time: those alive; others at addresses of dead ones */
	float looking;        /* … and all that nothing has shown to be dead */
	float rate;           /* at which they died last: −log of what share was left, ≥ 0 */
};

#define MORTALITY_MAX 0.99999 /* of them die in a passage */

/* A cell has seen so many die, of so many that were alive and others, of all that looked alive before it. */
void exposure_add(struct exposure *exposure, const struct passage *p, double died, double alive, double others,
		  double looking);
/*
 * The share that dies in that passage: 0 … MORTALITY_MAX. pool: of all sites together, of which one that was seen
 * little borrows; NULL: none.
 */
double mortality(struct exposure *exposure, const struct exposure *pool, const struct passage *p);
/* How much more it is if as many more had been seen as usually are by chance: ≥ 0. */
double mortality_error(const struct exposure *exposure, const struct exposure *pool, const struct passage *p);
/* Of those born all the time through a passage, how many are left at its end by the rate at which they died last. */
double mortality_left(const struct exposure *exposure);
/*
 * The share of a site's blocks that never die, when so many deaths were seen, and so many expected if they were like
 * the pool's; odds: of its doing so, before anything was seen.
 */
double mortality_none(double seen, double expected, double odds);

#endif
