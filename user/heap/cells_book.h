/* Inside of heap/cells.c (books) and heap/cells_view.c (tells). */
#ifndef ALLOCTRACE_HEAP_CELLS_BOOK_H
#define ALLOCTRACE_HEAP_CELLS_BOOK_H

#include <stdbool.h>
#include <stdint.h>

#include "heap/blocks.h"
#include "heap/cohorts.h"
#include "heap/estimate.h"
#include "heap/sites.h"

#define REUSE_LOOKS 512  /* addresses a cell */
#define YOUNG_CELLS 8.0  /* that the mean of the young is of */

struct site_cells {
	double born[FIGURE_CNT][ESTIMATE_GROUPS], freed_here[FIGURE_CNT][ESTIMATE_GROUPS]; /* Σ weight × seen, by group */
	struct tally temporary;
	struct tally seen_born, seen_temporary; /* in cells that were not sure, unweighed */
	struct tally gone; /* neither freed nor live any more */
	struct tally peak; /* live when all was highest */
	struct tally scaled_here; /* that the site's own figure has of cells that were not sure, by weight */
	struct cohorts cohorts;
	struct tally young, young_squares; /* alive at a cell's end and born in its second half: means over the last cells */
	uint64_t young_cell;
	double born_cnt, short_cnt; /* ever in cells, and of these that died there */
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
	struct weighing weighing;
	struct ages ages;
	bool on, sure;
	unsigned group;
	uint32_t tick, last_tick;
	uint64_t mean;               /* of sampled stacks in this cell */
	uint64_t events;             /* in this cell */
	struct site_cells *v, all;   /* all: sums only, it has no cohorts */
	struct tally alive, peak;    /* of all sites */
	double scale;                /* of alive, 0…1: a walk has found less */
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

/* A site's cohorts come through the cells in which nothing of it was seen. */
void cells_catch_up(struct cells *cells, struct site_cells *site);

#endif
