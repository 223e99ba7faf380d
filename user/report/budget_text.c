#include "report/budget_text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "budget/pace.h"
#include "report/figure.h"

#define DUTY_ALL 0.995 /* that rounds to all of the time */

static void add(char buf[BUDGET_TEXT_MAX], const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void add(char buf[BUDGET_TEXT_MAX], const char *fmt, ...)
{
	size_t used = strlen(buf);
	va_list args;

	va_start(args, fmt);
	vsnprintf(buf + used, BUDGET_TEXT_MAX - used, fmt, args);
	va_end(args);
}

/* Beyond that it matters to nobody how far. */
static const char *error_share(char buf[UNITS_TEXT_MAX], double error)
{
	return error > 1 ? ">100 %" : figure_share(buf, error);
}

const char *budget_error_text(char buf[UNITS_TEXT_MAX], uint64_t figure, uint64_t low, uint64_t high)
{
	uint64_t below = figure > low ? figure - low : 0, above = high > figure ? high - figure : 0;
	double half = (double)(below > above ? below : above);
	char share[UNITS_TEXT_MAX];

	if (high == UNKNOWN || (half > 0 && !figure))
		return "±?";
	snprintf(buf, UNITS_TEXT_MAX, "±%s", half > 0 ? error_share(share, half / (double)figure) : "0 %");
	return buf;
}

/* Where probes take more of its CPU time, it uses so little that they may take that part of a core. */
static void add_budget(char buf[BUDGET_TEXT_MAX], const struct budget_view *b)
{
	if (b->max_overhead <= 0)
		return;
	add(buf, ", budget %g %%", 100 * b->max_overhead);
	if (b->probe_share > b->max_overhead)
		add(buf, " or %g %% of a core", 100 * PACE_CORE_SHARE);
}

const char *budget_seen_text(char buf[BUDGET_TEXT_MAX], const struct allocation_view *a)
{
	const struct budget_view *b = &a->budget;
	char text[UNITS_TEXT_MAX];

	buf[0] = '\0';
	if (!b->estimated)
		return buf;
	if (b->duty < DUTY_ALL)
		add(buf, "allocation probes on %s of the time", figure_share(text, b->duty));
	else
		add(buf, "allocation probes on all the time");
	if (b->duty >= DUTY_ALL && a->sample_bytes)
		add(buf, ", one stack in %s", units_bytes(text, a->sample_bytes));
	add_budget(buf, b);
	if (b->error > 0)
		add(buf, "; sites ±%s", error_share(text, b->error));
	else
		add(buf, "; sites are estimates");
	return buf;
}

const char *budget_cost_text(char buf[BUDGET_TEXT_MAX], const struct allocation_view *a)
{
	const struct budget_view *b = &a->budget;
	char share[UNITS_TEXT_MAX];

	buf[0] = '\0';
	if (b->probe_share < 0)
		return buf;
	add(buf, "probes take %s of its CPU", figure_share(share, b->probe_share));
	if (!b->estimated)
		add_budget(buf, b);
	if (b->tracer_share >= 0)
		add(buf, ", alloctrace %s", figure_share(share, b->tracer_share));
	return buf;
}
