#include "picture/budget_sum.h"

static struct bounded bounded_of(const struct ledger_totals *t)
{
	return (struct bounded){t->live, t->allocated, t->freed, t->freed};
}

static void add_totals(struct budget_sum *sum, const struct allocation_view *part)
{
	const struct bounded figures = bounded_of(&part->totals);

	sum->view.estimated |= part->budget.estimated;
	spread_add(&sum->totals, &figures, part->budget.estimated ? &part->budget.totals : NULL);
}

void budget_sum_keep(struct budget_sum *kept, const struct allocation_view *ended)
{
	add_totals(kept, ended);
}

void budget_sum_begin(struct budget_sum *sum, const struct budget_sum *kept, bool with_live)
{
	*sum = (struct budget_sum){
		.view = {.probe_share = -1, .tracer_share = -1, .duty = 1, .duty_now = 1,
			 .estimated = kept->view.estimated},
		.totals = kept->totals,
	};
	if (!with_live)
		spread_forget_live(&sum->totals);
}

static void raise_to(double *most, double part)
{
	*most = part > *most ? part : *most;
}

static void lower_to(double *least, double part)
{
	*least = part < *least ? part : *least;
}

/* Shares of the same time, each of what one process used: the share of what all used. */
static void join_shares(double *all, double part)
{
	if (part < 0)
		return;
	if (*all < 0)
		*all = part;
	else
		*all = *all > 0 && part > 0 ? 1 / (1 / *all + 1 / part) : 0;
}

void budget_sum_add(struct budget_sum *sum, const struct allocation_view *part)
{
	struct budget_view *view = &sum->view;
	const struct budget_view *b = &part->budget;

	view->max_overhead = b->max_overhead;
	raise_to(&view->probe_share, b->probe_share);
	join_shares(&view->tracer_share, b->tracer_share);
	lower_to(&view->duty, b->duty);
	lower_to(&view->duty_now, b->duty_now);
	add_totals(sum, part);
}

/* As of one process: the mean over the sites by live bytes. */
static double mean_error(const struct allocation_view *a)
{
	double halves = 0, live = 0;

	for (size_t i = 0; i < a->site_cnt; i++) {
		const struct site_bounds *b = a->sites[i].bounds;

		live += (double)a->sites[i].figures->live.bytes;
		if (b && b->live.high.bytes != UNKNOWN)
			halves += (double)(b->live.high.bytes - b->live.low.bytes) / 2;
	}
	return live > 0 ? halves / live : 0;
}

void budget_sum_view(const struct budget_sum *sum, struct allocation_view *view)
{
	const struct bounded figures = bounded_of(&view->totals);

	view->budget = sum->view;
	if (!sum->view.estimated)
		return;
	spread_bounds(&sum->totals, &figures, &view->budget.totals);
	view->budget.error = mean_error(view);
}
