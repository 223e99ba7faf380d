/*
 * Estimates from cells (bpf/event.h: EVENT_CELL; which are on: budget/pace.h). Here is the mathematics that is
 * pure; heap/cells.h books with it, heap/cohorts.h has what is alive.
 *
 * Weights. Time of a process is its own CPU progress. Coins that fell after their chance p was fixed say of one
 * stretch of it after the other, each l long, whether a cell begins there: so a cell stands for l (1/p − 1) of progress
 * without one and for its own, whatever the target's rhythm (Horvitz and Thompson). That is not l, but u, as the clock
 * ends it and probes take their part. So a figure a of what was seen in it counts
 *
 *     w a, w = (1 + l (1/p − 1) / u) H, H: mean of progress from cell to cell / (u + l (1/p − 1))
 *
 * over the last some 32 cells, each as much as any, 1 for four more. Without the factor l/u of each cell, by one H
 * for all, sites of stretches that are slowed down most lost 17 % in simulation (a period of the target's as long
 * as that of cells). Σ w u differs from all progress by chance: sums are multiplied by U / Σ w u at the end, where
 * U goes on to the moment that is asked for.
 *
 * Where a target does little between two hits, u is a small difference of large figures: one cell's is then known
 * worse than u/x of the last cells together, and both are weighed by their errors. Where nearly all of it is lost in
 * the probes' error, u is s x, with a share s of the CPU time x of cells that is found out in the course of
 * time: (1 + l (1/p − 1) / (s x)) H is mended for all cells together, by the newest s. By how much Σ w n, of n hits
 * in each cell, changes thereby sums are multiplied.
 *
 * Sums (allocated, freed here, temporary): U / Σ w u · Σ w a. What sure cells saw is exact and kept apart.
 * Their intervals: each cell belongs to one of 16 groups by a hash of its number. Of the groups' sums y and
 * progress z the rests y − (Σ y / Σ z) z have, as groups are random, the variance of the cells' own rests:
 * Σ rests² · 16/15, Student's t with 15 degrees of freedom. progress_error adds in proportion, as one error
 * common to all cells. With few cells a normal interval would be wrong: figure² / variance is taken as the
 * number n of events of a Poisson figure, whose limits are quantiles of χ² with 2 n and 2 n + 2 degrees.
 *
 * Live. A block that was seen to be born (weight w) and to die in another cell is known to be dead; one that died
 * unseen looks alive until another is seen to be born at its address, or a walk finds it free. Two ways that
 * seem right are not:
 *
 *   - Deaths by joint inclusion (Σ w born − Σ w born · 1/π died) have no bias, but their error grows with all
 *     that was ever born: live blocks of middle life drown in it.
 *   - Only tracked blocks less ghosts × (1 − π)/π, a ghost being one that was seen to die and whose address was
 *     seen no more: without bias only where an address is not used again and again. A free that is seen at a
 *     tracked address may be that of a later block there. Of N deaths since, ⌈N/2⌉ … N look like the block's own,
 *     so that an address has the expectation (1 − π)^N (1 − N): an LRU cache comes out far below zero.
 *
 * So by age (heap/cohorts.c). A site's seen births of an age class are, by weight,
 *
 *     looking = alive + free + others,
 *
 * alive still there; free dead, their addresses nobody's; others dead, and their addresses taken by blocks that
 * were born unseen. In a cell deaths d are seen at their addresses. w d are those of all the time that the cell
 * stands for: of alive ones a share q and, of others, as many as blocks of the site die in that time (turn, from the
 * mean life of those that die), those included whose place became theirs meanwhile. q solves
 *
 *     w d / alive = q + turn (others / alive + reused (1 − q / −log(1 − q))),
 *
 * reused: how many addresses of dead blocks are taken again within half a cell. free grows with unseen deaths ×
 * (1 − reused) and shrinks by births at such addresses (w seen) and by what walks bury. d, others and alive are
 * summed over the last cells per class before q is solved for, over many for the young, which a cell sees few of.
 * Much older than the mean age at death, alive is at most what turn leaves over: looking that does not die.
 *
 * A site of which little was seen dies at the rate −log(1 − q) of all sites together (`pool`), times as many deaths
 * as were seen of it beside those that should have been, as if BORROWED more of each had been; the more are expected,
 * the more its own q counts (heap/mortality.h). In rates and not in q: where nearly all die, 0.99 in place of 0.999
 * would be ten times as many alive. So a site whose blocks never die would die with the others while few deaths of
 * it are expected: where by then as many are that none is unlikely, what still looks alive is. The odds of that are
 * such that of many sites that only seem so by chance, 3 % of what is live come together.
 *
 * What a cell saw stands for what was born all the time since the one before, some of which had died by then: of those
 * of an age q / −log(1 − q) are taken to be alive. A walk that finds a block dead (bury) leaves fewer of a site; as
 * it does so with all sites alike, what is not found dead is the larger part of what it counts.
 *
 * Lives shorter than a cell: that a block is alive at its cell's end says little of it. Where more than 2 % of a
 * site's blocks die in their cell, those of its first half that live at its end count twice, those of the second
 * half not at all; beside these, the mean over the last cells of the second halves' is what is live and young.
 * freed = allocated − live.
 *
 * All that is inferred, and inferred by the same rules: where they are wrong, they are wrong for most sites alike. But
 * what is live of all sites together is known: a walk counts it, by size. So with each walk the estimates are raked
 * (heap/raking.h): in each size step what is live of sites and what is from before the attach (heap/before.h) is
 * brought to agree with the count, each in proportion to how much of it is inferred. Until the next walk that is what
 * is said of the site, and cells go on from it (cohorts_agree). What has a size step to itself is exact.
 *
 * Live intervals: how far births of each cell are from the site's mean, at least Poisson's; how much more of them would
 * have died had as many more deaths been seen as cells differ by, × SPREAD; both with what has died since taken
 * off; after raking, of the site's own and of the others' what its share leaves, and what raking moved it by; 1 % for
 * sizes within a step; as many as there are young ones on average. At most all that looks alive, and all that a walk
 * has counted of its sizes. Where few deaths were seen, what looks alive may be: by e less for each three deaths. Where
 * nothing was seen, 3.69 seen blocks' worth.
 *
 * What simulation found (tests/unit/estimate_test.c, ESTIMATE_RUNS=46; cells of 5 ms, chance 0.1, 5 s, one site of 60 %
 * and a hundred with the rest, all of the same sizes: of others a walk tells more). Allocated and freed here: the truth
 * is inside in 95 – 98 % (one site alone: 79 – 97 %), signed error below 2 % (targets with bursts: 3 %). Live: what
 * all hold is as the walk counts it; large sites' signed error is below 2.5 % for long and middle lives, LRU caches,
 * phases, leaks in and beside churn, 3.5 % where the attach comes late or chances change; sparse cells, each for two
 * hundred times its own length, where nearly all die in between: 2 to 6 %, 13 % for a leak in such churn (found after
 * some seconds) and 17 % where there are long lives among them. Inside in 92 – 100 %, two or four sites alone 90 – 96 %;
 * half-widths 3 to 60 %. With shares mixed in place of rates, and what a cell saw taken for what is alive, these
 * were −38 % for an LRU cache with sparse cells, and half-widths 85 % throughout.
 * All this is about chance; u is taken as known.
 *
 * On real processes (tools/prove-estimates, 100 runs of 12.5 s: 10 at 150,000 pairs/s, 30 at 500,000, 60 flat out at 7
 * to 45 million, u by milestones): inside are allocated 96 %, freed 96 %, live 98 %; signed error of sites over 5 %:
 * +0.2, +0.1, −0.8 % of bytes, +0.9, +0.8, −1.8 % of blocks. By load live is worst in phases at 150,000 pairs/s (+20 %
 * mostly: a fifth of what was there before the attach stays there, and is taken to be gone). Half-widths in the median:
 * 17, 18 and 37 %; of small sites' live far above 100 %, where so few deaths were seen that they might not die at all.
 */
#ifndef ALLOCTRACE_HEAP_ESTIMATE_H
#define ALLOCTRACE_HEAP_ESTIMATE_H

#include <stdbool.h>
#include <stdint.h>

#include "../bpf/event.h"

#define ESTIMATE_GROUPS 16

/* What cells stand for: fed with each BEGIN and each end, in order. All zero to begin with. */
struct weighing {
	double own;           /* ns of own progress since the first cell that was not sure, sure ones left out */
	double weighed;       /* Σ weight × progress of these cells */
	double group[ESTIMATE_GROUPS]; /* … by group */
	double error;         /* Σ weight × progress_error, of cells told by time */
	/* Σ weight × hits; what it would be by newest knowledge: mended + mended_lengths / share. */
	double hits, mended, mended_lengths;
	double share, share_error; /* the newest; 0: not known */
	double squares;       /* Σ (weight × progress)² */
	double passed;        /* own progress since the last cell's end */
	double shares, share_cnt; /* of the last cells: Σ of it, with the cell's own, over what was planned; how many */
	double cpu, progress_of_cpu; /* CPU time of the last cells that were on, and of it progress, as measured */
	double progress;      /* of the last cell, as it is taken to be */
	double rate;          /* own progress a ns of time, lately */
	uint64_t last_ns;     /* when the last cell began or ended */
	uint64_t cells;
	struct event_cell begin;
};

void weighing_begin(struct weighing *w, const struct event_cell *begin);
/* The weight of the cell that began last: its progress stands for so many times as much; 1 if it was sure. */
double weighing_end(struct weighing *w, const struct event_cell *end);
/* By which sums of weight × figure are to be multiplied at that moment. */
double weighing_factor(const struct weighing *w, uint64_t now_ns);
bool weighing_is_sure(const struct event_cell *cell);
/* 0 … ESTIMATE_GROUPS − 1. */
unsigned estimate_group(uint64_t number);

/* Weights as block tables keep them: 2^(code / 51), a fraction drawn by salt; 1 is exact. */
#define ESTIMATE_CODE_MAX 1020u
unsigned estimate_code(double weight, uint64_t salt);
double estimate_weight(unsigned code);

/*
 * The variance of factor × Σ sums about the ratio of sums to the groups' progress, where each cell belongs
 * to a group by chance.
 */
double estimate_variance(const struct weighing *w, const double sums[ESTIMATE_GROUPS]);

struct estimate_range {
	double low, high;
};

/* The 95 % interval of a figure ≥ 0; least: what is known to be there. */
struct estimate_range estimate_interval(double figure, double variance, double least);

#endif
