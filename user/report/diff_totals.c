/* What of two snapshots is compared as a whole: a row a figure. */
#include <string.h>

#include "report/diff.h"
#include "report/diff_error.h"

static uint64_t of_heap(const struct snapshot *s, size_t offset)
{
	uint64_t figure;

	memcpy(&figure, (const char *)s->heap + offset, sizeof(figure));
	return s->heap->taken_ns ? figure : UNKNOWN;
}

static uint64_t of_events(const struct snapshot *s, size_t offset)
{
	uint64_t figure;

	if (!s->allocs)
		return UNKNOWN;
	memcpy(&figure, (const char *)&s->allocs->totals + offset, sizeof(figure));
	return figure;
}

static uint64_t of_snapshot(const struct snapshot *s, size_t offset)
{
	uint64_t figure;

	memcpy(&figure, (const char *)s + offset, sizeof(figure));
	return figure;
}

static const struct total_row {
	struct diff_total head;
	uint64_t (*get)(const struct snapshot *s, size_t offset);
	size_t offset;
} total_rows[] = {
#define NOW(member) of_snapshot, offsetof(struct snapshot, member)
#define HEAP(member) of_heap, offsetof(struct heap_state, member)
#define EVENTS(member) of_events, offsetof(struct ledger_totals, member)
	{{"RSS", "rss", false, false, 0, 0, false, {0, 0}}, NOW(rss)},
	{{"swapped", "swap", false, false, 0, 0, false, {0, 0}}, NOW(swap)},
	{{"held", "held", false, false, 0, 0, false, {0, 0}}, HEAP(held)},
	{{"live heap", "live_heap", false, false, 0, 0, false, {0, 0}}, HEAP(live_heap)},
	{{"retained", "retained", false, false, 0, 0, false, {0, 0}}, HEAP(retained)},
	{{"purgeable", "purgeable", false, false, 0, 0, false, {0, 0}}, HEAP(purgeable)},
	{{"pinned", "pinned", false, false, 0, 0, false, {0, 0}}, HEAP(pinned)},
	{{"live", "live", false, true, 0, 0, false, {0, 0}}, EVENTS(live.bytes)},
	{{"live blocks", "live_blocks", true, true, 0, 0, false, {0, 0}}, EVENTS(live.cnt)},
	{{"live at the peak", "peak", false, true, 0, 0, false, {0, 0}}, EVENTS(peak.bytes)},
	{{"allocated", "allocated", false, true, 0, 0, false, {0, 0}}, EVENTS(allocated.bytes)},
	{{"allocations", "allocs", true, true, 0, 0, false, {0, 0}}, EVENTS(allocated.cnt)},
	{{"freed", "freed", false, true, 0, 0, false, {0, 0}}, EVENTS(freed.bytes)},
	{{"purges", "purges", true, true, 0, 0, false, {0, 0}}, NOW(purges_total)},
	{{"returned by purges", "returned_purge", false, true, 0, 0, false, {0, 0}}, NOW(returned.purge)},
	{{"returned by trim", "returned_trim", false, true, 0, 0, false, {0, 0}}, NOW(returned.trim)},
};

/* Which bounds those of a total are. */
static const struct bounds *bounds_of(const struct site_bounds *b, size_t offset)
{
	switch (offset) {
	case offsetof(struct ledger_totals, live.bytes):
	case offsetof(struct ledger_totals, live.cnt):
		return &b->live;
	case offsetof(struct ledger_totals, allocated.bytes):
	case offsetof(struct ledger_totals, allocated.cnt):
		return &b->allocated;
	case offsetof(struct ledger_totals, freed.bytes):
		return &b->freed;
	default:
		return NULL;
	}
}

/* An exact one is its own bounds. */
static struct diff_figure figure_of(const struct diff *d, unsigned side, size_t offset)
{
	const struct snapshot *s = d->side[side].snapshot;
	uint64_t exactly = of_events(s, offset);
	struct diff_figure f = {exactly, exactly, exactly};
	const struct bounds *b;

	if (s->allocs->budget.estimated) {
		b = bounds_of(&s->allocs->budget.totals, offset);
		f.low = offset % sizeof(struct site_count) ? b->low.bytes : b->low.cnt;
		f.high = offset % sizeof(struct site_count) ? b->high.bytes : b->high.cnt;
	}
	return side ? f : diff_figure_scaled(d, &f);
}

static bool find_range(const struct diff *d, size_t offset, struct diff_range *range)
{
	const struct allocation_view *a = d->side[0].snapshot->allocs, *b = d->side[1].snapshot->allocs;
	struct diff_figure left, right;

	if (!a || !b || !bounds_of(&a->budget.totals, offset) || !(a->budget.estimated || b->budget.estimated))
		return false;
	left = figure_of(d, 0, offset);
	right = figure_of(d, 1, offset);
	if (left.low == left.high && right.low == right.high)
		return false;
	*range = diff_figures_range(&left, &right);
	return true;
}

size_t diff_totals(const struct diff *d, struct diff_total totals[DIFF_TOTALS_MAX])
{
	size_t cnt = sizeof(total_rows) / sizeof(total_rows[0]);

	for (size_t i = 0; i < cnt; i++) {
		const struct total_row *row = &total_rows[i];
		uint64_t a = row->get(d->side[0].snapshot, row->offset);

		totals[i] = row->head;
		totals[i].a = row->head.since_attach ? diff_scaled(d, a) : a;
		totals[i].b = row->get(d->side[1].snapshot, row->offset);
		totals[i].estimated = row->get == of_events && find_range(d, row->offset, &totals[i].range);
	}
	return cnt;
}

bool diff_total_says_something(const struct diff_total *total)
{
	return (total->a && total->a != UNKNOWN) || (total->b && total->b != UNKNOWN);
}
