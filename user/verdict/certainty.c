/* How far all that can be trusted; and that there is nothing to say. */
#include <inttypes.h>
#include <stdio.h>

#include "verdict/rule.h"

/* What would tell more of the sites. */
static void advise_budget(const struct allocation_view *a, struct verdict_line *line)
{
	double max = 100 * a->budget.max_overhead;

	if (max > 0 && max < 50)
		rule_advise(line, "--max-overhead %g or none would tell more; a longer run does", 2 * max);
	else if (max > 0)
		rule_advise(line, "--max-overhead none would tell more; a longer run does");
	else
		rule_advise(line, "--stack all would tell more; a longer run does");
}

static void say_error(const struct rule_case *c, struct verdict_line *line)
{
	const struct budget_view *b = &c->s->allocs->budget;

	rule_say(line, VERDICT_NOTE, 0, "sites are known to ±%.0f %%: what is said of them is an estimate, totals of the heap are exact",
		 100 * b->error);
	advise_budget(c->s->allocs, line);
	rule_real(line, "error", b->error);
	rule_real(line, "duty", b->duty);
}

void rule_uncertain(const struct rule_case *c, struct verdict_line *line)
{
	const struct allocation_view *a = c->s->allocs;
	uint64_t untracked = a ? a->totals.untracked.cnt : 0, events = a ? a->totals.events : 0;
	char share[32] = "";

	if (c->lost && c->lost >= (events + c->lost) / LOST_ONE_IN) {
		if (events)
			snprintf(share, sizeof(share), " (%.1f %%)",
				 100 * (double)c->lost / (double)(events + c->lost));
		rule_say(line, VERDICT_NOTE, 0,
			 "%" PRIu64
			 " event%s lost%s: what is said of call sites, purges and dlopen may be off, the "
			 "heap's own figures are not",
			 c->lost, c->lost == 1 ? " was" : "s were", share);
		rule_advise(line, "--stack sampled:64K leaves fewer to lose");
	} else if (untracked && untracked >= a->totals.allocated.cnt / LOST_ONE_IN) {
		rule_say(line, VERDICT_NOTE, 0,
			 "%" PRIu64 " live blocks did not fit into --max-memory: live by site is too low",
			 untracked);
		rule_advise(line, "raise --max-memory");
	} else if (a && a->budget.estimated && a->budget.error >= ERROR_LARGE && c->span_ns >= FINE_SPAN_NS) {
		say_error(c, line);
	}
	if (!line->sentence[0])
		return;
	rule_count(line, "lost", c->lost);
	rule_count(line, "untracked", untracked);
	rule_count(line, "events", events);
}

void rule_fine(const struct rule_case *c, struct verdict_line *line)
{
	const struct heap_state *h = c->s->heap;
	char span[UNITS_TEXT_MAX], live[UNITS_TEXT_MAX], retained[UNITS_TEXT_MAX], purgeable[UNITS_TEXT_MAX];

	if (!c->s->final || c->so_far->cnt || c->span_ns < FINE_SPAN_NS || !h->taken_ns ||
	    h->live_heap == UNKNOWN || h->retained == UNKNOWN || h->purgeable == UNKNOWN)
		return;
	rule_say(line, VERDICT_OK, 0, "nothing wrong is seen in %s: %s live, %s retained, %s of it purgeable",
		 units_time(span, c->span_ns), units_bytes(live, h->live_heap),
		 units_bytes(retained, h->retained), units_bytes(purgeable, h->purgeable));
	rule_bytes(line, "live", h->live_heap);
	rule_bytes(line, "retained", h->retained);
	rule_bytes(line, "purgeable", h->purgeable);
	rule_real(line, "seconds", (double)c->span_ns / 1e9);
}
