/*
 * Raking: estimates of parts are brought to agree with totals that are known (calibration in survey sampling:
 * Deville and Särndal 1992). Parts are what is live of a site, or from before the attach, in one size step; totals
 * are the blocks that a walk has counted there.
 *
 * What is wrong with the parts is wrong with most of them in the same way and direction, as it comes of what is
 * inferred from the same rules: blocks that look alive and are taken to be dead, or the reverse. So each part
 * changes in proportion to how much of it is inferred (doubt), not to its variance: by variances, the largest part
 * would take on itself what is wrong with all (simulated: an LRU cache's largest site came out 17 % short, 1 % this
 * way). Least squares where errors are common to all, with doubts as their sizes; of what is too much, each part loses
 * by a factor in the same sense, so that none comes out below 0.
 */
#ifndef ALLOCTRACE_HEAP_RAKING_H
#define ALLOCTRACE_HEAP_RAKING_H

#include <stddef.h>
#include <stdint.h>

struct rake_part {
	uint32_t owner; /* it and size are the caller's */
	uint16_t step;
	double size;
	double was;      /* as estimated: blocks, ≥ 0 */
	double doubt;    /* how many of them are so by inference only, ≥ 0 */
	double variance; /* of was by chance, ≥ 0 */
	double most;     /* that there can be; INFINITY: not known */
	double is;       /* what it is raked to */
	double left;     /* … and its variance */
	double total;    /* of all parts */
};

/*
 * Fills in what the parts of one step are, so that they sum up to total, where their bounds allow it; none
 * falls below 0. total ≥ 0.
 */
void rake(struct rake_part *parts, size_t cnt, double total);

#endif
