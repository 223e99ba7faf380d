/*
 * The mathematics of estimates from cells (bpf/event.h: EVENT_CELL; which are on: budget/pace.h).
 * Pure: nothing here knows blocks or sites; heap/cells.h books with it.
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
	double error;         /* Σ weight × progress_error */
	double squares;       /* Σ (weight × progress)² */
	double recent_own, recent_weighed; /* the same two, the last cells' */
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
