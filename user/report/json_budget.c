#include "report/json_budget.h"

static void share(struct json *j, cJSON *o, const char *name, double value)
{
	if (value >= 0)
		json_number(j, o, name, value);
	else
		json_null(j, o, name);
}

void json_budget(struct json *j, cJSON *o, const struct budget_view *b)
{
	if (b->max_overhead > 0)
		json_ratio(j, o, "max_overhead", 100 * b->max_overhead);
	else
		json_null(j, o, "max_overhead");
	share(j, o, "probe_cpu_share", b->probe_share);
	share(j, o, "tracer_cpu_share", b->tracer_share);
	json_ratio(j, o, "duty", b->duty);
	json_ratio(j, o, "duty_now", b->duty_now);
	json_bool(j, o, "estimated", b->estimated);
	if (b->error > 0)
		json_ratio(j, o, "error", b->error);
	else
		json_null(j, o, "error");
}

/* Of one figure: what its bytes and its blocks are called. */
struct names {
	const char *bytes_low, *bytes_high, *cnt_low, *cnt_high;
};

static const struct names live = {"live_low", "live_high", "live_blocks_low", "live_blocks_high"},
			  allocated = {"allocated_low", "allocated_high", "allocs_low", "allocs_high"},
			  freed = {"freed_low", "freed_high", "frees_low", "frees_high"},
			  freed_here = {"freed_here_low", "freed_here_high", "frees_here_low", "frees_here_high"};

static void bounds(struct json *j, cJSON *o, const struct names *names, const struct bounds *b)
{
	json_integer(j, o, names->bytes_low, b->low.bytes);
	json_figure(j, o, names->bytes_high, b->high.bytes);
	json_integer(j, o, names->cnt_low, b->low.cnt);
	json_figure(j, o, names->cnt_high, b->high.cnt);
}

void json_total_bounds(struct json *j, cJSON *o, const struct site_bounds *b)
{
	bounds(j, o, &live, &b->live);
	bounds(j, o, &allocated, &b->allocated);
	bounds(j, o, &freed, &b->freed);
}

void json_bounds(struct json *j, cJSON *o, const struct site_bounds *b)
{
	json_total_bounds(j, o, b);
	bounds(j, o, &freed_here, &b->freed_here);
}
