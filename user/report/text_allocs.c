#include "report/text_allocs.h"

#include <inttypes.h>

#include "report/budget_text.h"
#include "report/figure.h"
#include "report/text_findings.h"
#include "report/text_sites.h"

/* What no site has is not worth a line below that: caches, and what came and went during the walk. */
#define REST_MIN MIB

/* Over the interval; in the final report since the attach. */
static const char *rate(char buf[UNITS_TEXT_MAX], const struct snapshot *s, const struct site_count *now,
			const struct site_count *before)
{
	if (s->final)
		return figure_rate(buf, now->cnt, s->time_ns - s->started_ns);
	return figure_rate(buf, now->cnt - before->cnt, s->interval_ns);
}

static const char *blocks_text(char buf[UNITS_TEXT_MAX + 8], uint64_t cnt)
{
	char digits[UNITS_TEXT_MAX];

	snprintf(buf, UNITS_TEXT_MAX + 8, "%s %s", figure_count(digits, cnt), cnt == 1 ? "block" : "blocks");
	return buf;
}

/* Of sampled stacks the sites' figures are, and totals are not. */
static bool are_estimates(const struct allocation_view *a)
{
	const struct bounds *b = &a->budget.totals.allocated;

	return a->budget.estimated && (b->low.cnt != b->high.cnt || b->low.bytes != b->high.bytes);
}

static const char *about(const struct allocation_view *a)
{
	return are_estimates(a) ? ", about" : "";
}

static void put_turnover(FILE *out, const struct snapshot *s)
{
	const struct ledger_totals *now = &s->allocs->totals, *before = &s->allocs->before;
	char bytes[UNITS_TEXT_MAX], cnt[UNITS_TEXT_MAX], speed[UNITS_TEXT_MAX];

	fprintf(out, "  since the attach%s: allocated %s in %s calls (%s)", about(s->allocs),
		units_bytes(bytes, now->allocated.bytes), figure_count(cnt, now->allocated.cnt),
		rate(speed, s, &now->allocated, &before->allocated));
	fprintf(out, ", freed %s in %s (%s)", units_bytes(bytes, now->freed.bytes),
		figure_count(cnt, now->freed.cnt), rate(speed, s, &now->freed, &before->freed));
	if (now->failed)
		fprintf(out, ", %s failed", figure_count(cnt, now->failed));
	fputc('\n', out);
}

static const char *live_when(const struct snapshot *s)
{
	if (s->gone)
		return s->processes ? "when its process ended" : "when it ended";
	return "now";
}

static void put_live(FILE *out, const struct snapshot *s)
{
	const struct ledger_totals *t = &s->allocs->totals;
	char bytes[UNITS_TEXT_MAX], cnt[UNITS_TEXT_MAX + 8], at[TEXT_CLOCK_MAX];

	fprintf(out, "  of it live %s%s %s in %s", live_when(s), about(s->allocs), units_bytes(bytes, t->live.bytes),
		blocks_text(cnt, t->live.cnt));
	if (t->peak_ns)
		fprintf(out, ", peak %s at %s", units_bytes(bytes, t->peak.bytes),
			text_clock(at, t->peak_ns));
	if (t->temporary.cnt && t->allocated.cnt)
		fprintf(out, ", temporary %s",
			figure_share(cnt, (double)t->temporary.cnt / (double)t->allocated.cnt));
	fputc('\n', out);
}

/* What the sites do not account for. */
static void put_before(FILE *out, const struct allocation_view *a)
{
	const struct site_count *freed = &a->totals.freed_before;
	char bytes[UNITS_TEXT_MAX], cnt[UNITS_TEXT_MAX + 8];
	const char *separator = are_estimates(a) ? "  from before the attach or not seen: "
						    : "  from before the attach or not recorded: ";

	if (a->unattributed != UNKNOWN && a->unattributed >= REST_MIN) {
		fprintf(out, "%s%s of live heap", separator, units_bytes(bytes, a->unattributed));
		separator = ", ";
	}
	if (freed->cnt) {
		fprintf(out, "%s%s in %s freed since", separator, units_bytes(bytes, freed->bytes),
			blocks_text(cnt, freed->cnt));
		separator = ", ";
	}
	if (separator[0] == ',')
		fputc('\n', out);
}

static void put_doubts(FILE *out, const struct allocation_view *a)
{
	const struct ledger_totals *t = &a->totals;
	char bytes[UNITS_TEXT_MAX], cnt[UNITS_TEXT_MAX + 8];

	if (t->untracked.cnt)
		fprintf(out,
			"  %s (%s) not tracked: --max-memory is reached; live by site is a lower "
			"bound\n",
			blocks_text(cnt, t->untracked.cnt), units_bytes(bytes, t->untracked.bytes));
	if (t->ghosts.cnt)
		fprintf(out, "  %s (%s) whose free was not seen: proved dead, no longer live\n",
			blocks_text(cnt, t->ghosts.cnt), units_bytes(bytes, t->ghosts.bytes));
}

/* What the probes see and cost; and how far what the sites have goes towards what is there. */
static void put_budget(FILE *out, const struct snapshot *s)
{
	const struct allocation_view *a = s->allocs;
	char seen[BUDGET_TEXT_MAX], cost[BUDGET_TEXT_MAX];

	budget_seen_text(seen, a);
	budget_cost_text(cost, a);
	if (seen[0])
		fprintf(out, "  %s%s%s\n", seen, cost[0] ? "; " : "", cost);
	else if (cost[0])
		fprintf(out, "  allocation %s\n", cost);
}

/* Against the heap's own figure, which is exact, as the allocator rounds blocks. */
static void put_sum(FILE *out, const struct snapshot *s)
{
	const struct allocation_view *a = s->allocs;
	uint64_t whole = s->heap->taken_ns ? heap_probed_live(s->heap) : UNKNOWN;
	const struct ledger_totals *t = &a->totals;
	char sum[UNITS_TEXT_MAX], all[UNITS_TEXT_MAX];
	double rounded = 0;

	if (!a->budget.estimated || whole == UNKNOWN || t->live_rounded == UNKNOWN)
		return;
	for (size_t i = 0; i < a->site_cnt; i++)
		rounded += (double)a->sites[i].figures->live.bytes;
	if (t->live.bytes)
		rounded *= (double)t->live_rounded / (double)t->live.bytes;
	if (rounded >= 0x1p63) /* out of a damaged recording */
		return;
	fprintf(out, "  sites add up to %s of %s live\n", units_bytes(sum, (uint64_t)rounded),
		units_bytes(all, whole));
}

static void put_truncated(FILE *out, const struct allocation_view *a)
{
	static const char *const reasons[STACK_CUT_CNT] = {
		[STACK_CUT_LIMIT] = "too deep",
		[STACK_CUT_UNMAPPED] = "into no code",
		[STACK_CUT_NO_TABLE] = "without unwind table",
		[STACK_CUT_UNREADABLE] = "unreadable",
	};
	const struct site_count *by = a->truncated;
	double all = (double)a->totals.allocated.cnt;
	const char *before = "(";
	char share[UNITS_TEXT_MAX];

	if (by[STACK_WHOLE].cnt && all > 0) {
		fprintf(out, "  stacks not followed to their end: %s of the allocations ",
			figure_share(share, (double)by[STACK_WHOLE].cnt / all));
		for (int cut = STACK_WHOLE + 1; cut < STACK_CUT_CNT; cut++) {
			if (!by[cut].cnt)
				continue;
			fprintf(out, "%s%s %s", before, reasons[cut],
				figure_share(share, (double)by[cut].cnt / all));
			before = ", ";
		}
		fputs(")\n", out);
	}
	if (a->stacks.refused)
		fprintf(out, "  %" PRIu64 " stacks were not kept: too many distinct ones, or no memory\n",
			a->stacks.refused);
}

int text_allocs(FILE *out, const struct snapshot *s, bool colour)
{
	if (!s->allocs)
		return 0;
	if (s->allocs->totals.events) {
		put_turnover(out, s);
		put_live(out, s);
	} else {
		fputs("  no allocation or free seen since the attach\n", out);
	}
	put_sum(out, s);
	put_before(out, s->allocs);
	put_doubts(out, s->allocs);
	put_budget(out, s);
	put_truncated(out, s->allocs);
	return text_sites(out, s, colour);
}
