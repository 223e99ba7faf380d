/*
 * The budget of many processes as one: each has its own. How much of them all is seen is not known, since
 * their CPU times are not: the least of their duties is shown, and the dearest of their costs.
 */
#ifndef ALLOCTRACE_PICTURE_BUDGET_SUM_H
#define ALLOCTRACE_PICTURE_BUDGET_SUM_H

#include "picture/snapshot.h"
#include "picture/spread.h"

struct budget_sum { /* all zero: none yet */
	struct budget_view view;
	struct spread totals;
};

/* Of what an ended process leaves behind: whether it was an estimate, and how far off. */
void budget_sum_keep(struct budget_sum *kept, const struct allocation_view *ended);
/* Begins a sum with what was kept; with_live: and with what was live at the processes' ends. */
void budget_sum_begin(struct budget_sum *sum, const struct budget_sum *kept, bool with_live);
void budget_sum_add(struct budget_sum *sum, const struct allocation_view *part);
/* Fills in the budget of a sum whose totals and sites are there. */
void budget_sum_view(const struct budget_sum *sum, struct allocation_view *view);

#endif
