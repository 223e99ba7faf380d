/* What the allocation probes cost and see, and between what estimates lie, for report/json_allocs.c. */
#ifndef ALLOCTRACE_REPORT_JSON_BUDGET_H
#define ALLOCTRACE_REPORT_JSON_BUDGET_H

#include "picture/snapshot.h"
#include "report/json_tree.h"

/* "max_overhead" (percent), "probe_cpu_share", "tracer_cpu_share", "duty", "duty_now", "estimated", "error". */
void json_budget(struct json *j, cJSON *parent, const struct budget_view *budget);
/* "live_low", "live_high", "live_blocks_low", … of figures that are estimates. */
void json_bounds(struct json *j, cJSON *parent, const struct site_bounds *bounds);
/* The same of totals, where frees are all there are. */
void json_total_bounds(struct json *j, cJSON *parent, const struct site_bounds *bounds);

#endif
