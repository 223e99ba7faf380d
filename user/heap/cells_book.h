/* Inside of heap/cells.c (books) and heap/cells_view.c (tells). */
#ifndef ALLOCTRACE_HEAP_CELLS_BOOK_H
#define ALLOCTRACE_HEAP_CELLS_BOOK_H

#include <stdbool.h>
#include <stdint.h>

#include "heap/blocks.h"
#include "heap/cohorts.h"
#include "heap/estimate.h"
#include "heap/sites.h"
#include "heap/steps.h"

#define REUSE_LOOKS 512  /* addresses a cell */
#define BORN_CELLS  32.0
#define YOUNG_CELLS 8.0  /* that the mean of the young is of */

/* Of a site's blocks in the table, those of one size step. */
struct site_step {
	uint16_t step;
	struct tally looking; /* by weight; in the old cohorts' sense */
	struct tally young;   /* of what site_cells.young was made of, ever */
	double born, born_bytes; /* by weight, over the last BORN_CELLS cells up to born_at */
	uint64_t born_at;
};

struct site_cells {
	double born[FIGURE_CNT][ESTIMATE_GROUPS], freed_here[FIGURE_CNT][ESTIMATE_GROUPS]; /* Σ weight × seen, by group */
	struct tally temporary;
	struct tally seen_born, seen_temporary; /* in cells that were not sure, unweighed */
	struct tally gone; /* neither freed nor live any more */
	struct tally peak; /* live when all was highest */
	struct tally scaled_here; /* that the site's own figure has of cells that were not sure, by weight */
	struct cohorts cohorts;
	struct tally came; /* by weight: alive at their cells' ends, ever */
	struct tally young, young_squares; /* alive at a cell's end and born in its second half: means over the last cells */
	uint64_t young_cell;
	double born_cnt, short_cnt; /* ever in cells, and of these that died there */
	struct site_step *steps;
	uint16_t step_cnt, step_cap;
	/*
	 * What the last walk made of what is live, once there was one: it, and how much could be of what was
	 * counted.
	 */
	bool raked;
	struct tally walked, most;
	double left; /* its variance: blocks² */
	/* In the cell that is on. */
	struct tally now_born, now_freed_here, now_temporary, now_short, now_alive, now_young;
	bool touched;
};

struct birth {
	uint64_t addr;
	uint64_t at; /* events of the cell before it */
};

struct cells {
	struct sites *sites;
	struct blocks *blocks;
	struct before *before;
	double all_left;             /* of what is live altogether, the variance that the last walk left: blocks²; below 0: no walk yet */
	struct weighing weighing;
	struct ages ages;
	bool on, sure;
	unsigned group;
	uint32_t tick, last_tick;
	uint64_t mean;               /* of sampled stacks in this cell */
	uint64_t events;             /* in this cell */
	struct site_cells *v, all;   /* all: sums only, it has no cohorts */
	struct tally alive, peak;    /* of all sites */
	double walked;               /* bytes alive at the last walk */
	double counted;              /* … and all that it has counted */
	uint64_t walked_cell;        /* ages.cells then */
	uint64_t (*const *rounded)(uint64_t size); /* of the allocator; *rounded NULL: not known */
	uint64_t peak_ns;
	uint32_t v_cnt;
	uint32_t *touched;
	uint32_t touched_cnt, touched_cap;
	struct birth *births;        /* in the cell */
	size_t birth_cnt, birth_cap;
	struct birth dead[REUSE_LOOKS]; /* blocks that died in the cell: are their addresses taken at its end? */
	unsigned dead_cnt;
	double dead_looked, dead_reused;
};

/* A block of that many bytes, as asked for, comes into the table or leaves it (weights below 0). */
void cells_step(struct cells *cells, struct site_cells *site, uint64_t size, const struct tally *looking,
		const struct tally *young);
/* Of a site's live blocks, or bytes, those that are younger than a cell, on average. */
double cells_young(const struct cells *cells, const struct site_cells *site, enum figure figure);
/* What is live of a site, as cells alone say at the end of the last one, and what its interval is made of. */
struct living cells_seen_living(const struct cells *cells, const struct site_cells *site, enum figure figure);
/* The same as the last walk made it, while that is fresh. */
struct living cells_living(const struct cells *cells, const struct site_cells *site, enum figure figure);
/* It was born in the cell that is on: so many like it, by the weight of the last cell. */
void cells_step_born(struct cells *cells, struct site_cells *site, uint64_t size, struct site_count counts);
/* So much of a site was alive before something was changed there. */
void cells_count_alive(struct cells *cells, const struct site_cells *site, struct tally before);
/* A site's cohorts come through the cells in which nothing of it was seen. */
void cells_catch_up(struct cells *cells, struct site_cells *site);

#endif
