/* Full collections of CPython's garbage collector that are missing while live rises from phase to phase. */
#include <inttypes.h>
#include <stdio.h>

#include "verdict/rule.h"

static uint64_t risen(const struct collector_gap *g)
{
	return g->live_last > g->live_first ? g->live_last - g->live_first : 0;
}

/* Proved by the collection that ended it. One that found nothing has proved the opposite. */
static bool is_proved(const struct collector_gap *g)
{
	return g->by_collection && g->collected >= COLLECTED_MIN;
}

static const struct collector_gap *worst(const struct snapshot *s)
{
	const struct collector_gap *found = NULL;

	for (size_t i = 0; i < s->gap_cnt; i++) {
		const struct collector_gap *g = &s->gaps[i];

		if (!g->flagged || (g->end_ns && !is_proved(g)))
			continue;
		if (!found || risen(g) > risen(found))
			found = g;
	}
	return found;
}

void rule_no_collection(const struct rule_case *c, struct verdict_line *line)
{
	char first[UNITS_TEXT_MAX], last[UNITS_TEXT_MAX], proof[64] = "";
	const struct collector_gap *g = worst(c->s);

	if (!g)
		return;
	if (is_proved(g))
		snprintf(proof, sizeof(proof), "; the one that came then found %" PRIu64 " objects",
			 g->collected);
	rule_say(line, is_proved(g) ? VERDICT_WARNING : VERDICT_NOTE, risen(g),
		 "live rose from %s to %s over %" PRIu64
		 " phases of freeing, and Python made no full collection between them%s",
		 units_bytes(first, g->live_first), units_bytes(last, g->live_last), g->phases, proof);
	rule_advise(line,
		    "gc.collect() after each unit of work%s: what hangs in reference cycles waits for it",
		    g->purges ? ", before the purge" : "");
	rule_bytes(line, "live_first", g->live_first);
	rule_bytes(line, "live_last", g->live_last);
	rule_count(line, "phases", g->phases);
	rule_count(line, "purges", g->purges);
	rule_count(line, "collected", g->collected);
}
