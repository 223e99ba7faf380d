#include "command/site_rows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "picture/ranking.h"

static bool has_anything(const struct site *site)
{
	return site->allocated.cnt || site->freed_here.cnt;
}

void site_rows_free(struct site_rows *rows)
{
	free(rows->sites);
	free(rows->by_number);
	free(rows->figures);
	free(rows->bounds);
	*rows = (struct site_rows){.sites = NULL};
}

/* Half the width of what live bytes lie in, relative: the mean over the sites by live bytes. */
static double mean_error(const struct site_rows *rows, uint32_t cnt)
{
	double width = 0, live = 0;

	for (uint32_t i = 0; i < cnt; i++) {
		width += (double)(rows->bounds[i].live.high.bytes - rows->bounds[i].live.low.bytes) / 2;
		live += (double)rows->figures[i].live.bytes;
	}
	return live > 0 ? width / live : 0;
}

static int estimate_sites(struct site_rows *rows, struct ledger *ledger, uint32_t cnt,
			  struct allocation_view *view)
{
	uint64_t now = clock_monotonic_ns();

	rows->figures = calloc(cnt, sizeof(*rows->figures));
	rows->bounds = calloc(cnt, sizeof(*rows->bounds));
	if (!rows->figures || !rows->bounds)
		return -ENOMEM;
	for (uint32_t i = 0; i < cnt; i++)
		ledger_estimate(ledger, i, now, &rows->figures[i], &rows->bounds[i]);
	view->budget.error = mean_error(rows, cnt);
	return 0;
}

int site_rows_fill(struct site_rows *rows, struct ledger *ledger, const struct stacks *stacks,
		   const struct survey_result *survey, struct allocation_view *view)
{
	struct sites *sites = ledger_sites(ledger);
	uint32_t cnt = sites_cnt(sites);

	site_rows_free(rows);
	view->site_cnt = 0;
	memset(view->truncated, 0, sizeof(view->truncated));
	view->number_cnt = cnt;
	view->sites = rows->sites = calloc(cnt, sizeof(*rows->sites));
	view->by_number = rows->by_number = calloc(cnt, sizeof(*rows->by_number));
	if (!rows->sites || !rows->by_number)
		return -ENOMEM;
	if (ledger_is_estimated(ledger) && estimate_sites(rows, ledger, cnt, view))
		return -ENOMEM;
	for (uint32_t i = 0; i < cnt; i++) {
		const struct site *site = rows->figures ? &rows->figures[i] : sites_at(sites, i);
		const struct stack *stack = stacks_find(stacks, site->stack);

		if (!has_anything(site))
			continue;
		rows->sites[view->site_cnt++] = (struct site_view){
			.number = i,
			.figures = site,
			.survey = survey && i < survey->site_cnt ? &survey->sites[i] : NULL,
			.peak = ledger_at_peak(ledger, i),
			.stack = stack,
			.bounds = rows->bounds ? &rows->bounds[i] : NULL,
		};
		if (stack && stack->cut) {
			site_count_add(&view->truncated[STACK_WHOLE], site->allocated);
			site_count_add(&view->truncated[stack->cut], site->allocated);
		}
	}
	ranking_arrange(rows->sites, view->site_cnt, rows->by_number);
	return 0;
}
