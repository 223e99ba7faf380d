#include "heap/ledger_book.h"

/* Before the first cell that is not sure, or has other stacks than were asked for, nothing is estimated. */
static bool needs_cells(const struct ledger *l, const struct event_cell *cell)
{
	return cell->chance < CELL_SURE || cell->sample_bytes != l->options.sample_bytes;
}

static struct cells *begin_cells(const struct ledger *l)
{
	struct cells *cells = cells_new(l->sites, l->blocks, l->before, &l->rounded);

	if (!cells)
		return NULL;
	cells_peak_was(cells, l->totals.peak, l->totals.peak_ns);
	for (uint32_t i = 0; i < sites_cnt(l->sites); i++)
		cells_site_peak_was(cells, i, ledger_seen_at_peak(l, sites_at(l->sites, i)));
	return cells;
}

void ledger_cell(struct ledger *l, const struct event_cell *cell)
{
	ledger_book_all(l);
	if (!l->cells && cell->state == CELL_BEGIN && needs_cells(l, cell))
		l->cells = begin_cells(l);
	if (!l->cells)
		return;
	if (cell->state == CELL_BEGIN) {
		l->mean = cell->sample_bytes;
		l->free_mean = cell->free_sample_bytes;
		cells_begin(l->cells, cell, ledger_tick(l, cell->head.time) + 1);
	} else {
		cells_end(l->cells, cell);
	}
}

bool ledger_is_estimated(const struct ledger *l)
{
	return l->cells != NULL;
}

void ledger_estimate(struct ledger *l, uint32_t number, uint64_t now_ns, struct site *figures,
		     struct site_bounds *bounds)
{
	ledger_book_all(l);
	cells_settle(l->cells);
	*figures = *sites_at(l->sites, number);
	cells_site(l->cells, number, now_ns, figures, bounds);
}

static struct site all_sites(const struct ledger *l)
{
	struct site all = {.stack = 0};

	for (uint32_t i = 0; i < sites_cnt(l->sites); i++) {
		const struct site *site = sites_at(l->sites, i);

		site_count_add(&all.live, site->live);
		site_count_add(&all.allocated, site->allocated);
		site_count_add(&all.freed, site->freed);
		site_count_add(&all.freed_here, site->freed_here);
		site_count_add(&all.temporary, site->temporary);
	}
	return all;
}

/* As the allocator rounds them: as it does those in the table, or one of their mean size where there is none.
 */
static uint64_t rounded(const struct ledger *l, struct site_count live)
{
	const struct ledger_totals *t = &l->totals;

	if (t->live_rounded == UINT64_MAX || (!l->rounded && live.cnt))
		return UINT64_MAX;
	if (t->live.bytes)
		return (uint64_t)((double)t->live_rounded / (double)t->live.bytes * (double)live.bytes);
	return live.cnt ? live.cnt * l->rounded(live.bytes / live.cnt) : 0;
}

void ledger_estimate_totals(struct ledger *l, uint64_t now_ns, struct ledger_totals *t,
			    struct site_bounds *bounds)
{
	struct site all;

	ledger_book_all(l);
	cells_settle(l->cells);
	all = all_sites(l);
	cells_all(l->cells, now_ns, &all, bounds);
	*t = l->totals;
	t->allocated = all.allocated;
	t->freed = all.freed_here;
	t->freed_before = all.freed_here;
	t->freed_before.cnt -= all.freed.cnt < all.freed_here.cnt ? all.freed.cnt : all.freed_here.cnt;
	t->freed_before.bytes -=
		all.freed.bytes < all.freed_here.bytes ? all.freed.bytes : all.freed_here.bytes;
	bounds->freed = bounds->freed_here;
	t->temporary = all.temporary;
	t->live_rounded = rounded(l, all.live);
	t->live = all.live;
	t->peak = cells_peak(l->cells, &t->peak_ns);
}

void ledger_walked(struct ledger *l, const struct heap_blocks live[STEP_CNT], const struct heap_pages *pages)
{
	ledger_book_all(l);
	before_walked(l->before, live, pages, l->blocks);
	if (!l->cells || l->options.size_min || l->options.size_max != UINT64_MAX)
		return;
	cells_settle(l->cells);
	cells_walked(l->cells, live);
}

uint64_t ledger_live(struct ledger *l)
{
	ledger_book_all(l);
	return l->cells ? cells_alive(l->cells) : l->totals.live.bytes;
}

struct site_count ledger_at_peak(const struct ledger *l, uint32_t number)
{
	return l->cells ? cells_site_peak(l->cells, number)
			: ledger_seen_at_peak(l, sites_at(l->sites, number));
}

double ledger_share_alive(const struct ledger *l, uint32_t number)
{
	return l->cells ? cells_share_alive(l->cells, number) : 1;
}
