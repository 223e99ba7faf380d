/* How often the purges come that reach the right allocator, against what they cost and return. */
#include <stdio.h>

#include "verdict/rule.h"

struct cadence {
	uint64_t cnt, effective;
	uint64_t returned, ns; /* sums */
	uint64_t span_ns;      /* from the first to the last */
	double every;          /* seconds apart, mean */
	double cost;           /* share of the time that they take */
	double duration;       /* seconds, mean */
	double suggested;      /* seconds; 0: none is needed */
	const struct purge_finding *last;
};

/*
 * As often as what counts as much has been gathered, at the pace at which the purges returned it; but not
 * so often that it costs much.
 */
static double suggest(const struct rule_case *c, const struct cadence *k)
{
	double pace = (double)k->returned / ((double)k->span_ns / 1e9), every, affordable;

	if (k->returned < MIB)
		return 0;
	every = (double)c->much / pace;
	affordable = k->duration / CADENCE_COST_FINE;
	return every > affordable ? every : affordable;
}

/* Of one process: several would each have a cadence of its own. False: too few. */
static bool look(const struct rule_case *c, uint64_t min, struct cadence *k)
{
	const struct snapshot *s = c->s;
	uint64_t first = 0;

	*k = (struct cadence){.cnt = 0};
	if (!s->final || s->purge_pids)
		return false;
	for (size_t i = 0; i < s->purge_cnt; i++) {
		const struct purge_finding *p = s->purges[i];

		if (p->misdirected)
			continue;
		first = k->cnt ? first : p->time_ns;
		k->cnt++;
		k->effective += p->effective;
		k->returned += p->returned;
		k->ns += p->duration_ns;
		k->last = p;
	}
	if (k->cnt < min)
		return false;
	k->span_ns = k->last->time_ns - first;
	if (!k->span_ns)
		return false;
	k->every = (double)k->span_ns / 1e9 / (double)(k->cnt - 1);
	k->cost = (double)(k->ns - k->last->duration_ns) / (double)k->span_ns;
	k->duration = (double)k->ns / 1e9 / (double)k->cnt;
	k->suggested = suggest(c, k);
	return true;
}

static const char *seconds(char buf[UNITS_TEXT_MAX], double s)
{
	return units_time(buf, (uint64_t)(s * 1e9));
}

static void say_evidence(const struct cadence *k, struct verdict_line *line)
{
	rule_count(line, "purges", k->cnt);
	rule_count(line, "effective", k->effective);
	rule_bytes(line, "returned", k->returned);
	rule_real(line, "every", k->every);
	rule_real(line, "cost_share", k->cost);
	rule_real(line, "suggested_every", k->suggested);
}

/* Windows that a purge closed: what it was late for. */
static size_t late_windows(const struct snapshot *s, uint64_t *peak)
{
	size_t cnt = 0;

	*peak = 0;
	for (size_t i = 0; i < s->window_cnt; i++) {
		if (!s->windows[i].closed_by_purge)
			continue;
		cnt++;
		*peak = s->windows[i].peak_purgeable > *peak ? s->windows[i].peak_purgeable : *peak;
	}
	return cnt;
}

void rule_purge_rare(const struct rule_case *c, struct verdict_line *line)
{
	char peak_text[UNITS_TEXT_MAX], every[UNITS_TEXT_MAX], better[UNITS_TEXT_MAX], much[UNITS_TEXT_MAX],
		place[OWN_LINE_MAX];
	struct cadence k;
	uint64_t peak;
	size_t late = late_windows(c->s, &peak);

	if (!look(c, CADENCE_RARE_MIN, &k) || late < CADENCE_RARE_MIN || k.effective < CADENCE_RARE_MIN ||
	    !(k.suggested > 0) || k.every < CADENCE_RARE_TIMES * k.suggested)
		return;
	rule_whom(c, line, k.last->stack, place);
	rule_say(line, VERDICT_WARNING, peak,
		 "purges work but come too rarely, one every %s%s%s: up to %s waits for them, %zu times",
		 seconds(every, k.every), place[0] ? " at " : "", place, units_bytes(peak_text, peak), late);
	rule_advise(line, "one every %s would keep it near %s and cost %.1f %% of the time",
		    seconds(better, k.suggested), units_bytes(much, c->much), 100 * k.duration / k.suggested);
	say_evidence(&k, line);
	rule_bytes(line, "peak_purgeable", peak);
	rule_count(line, "windows", late);
}

static bool is_too_often(const struct cadence *k)
{
	double idle = 1 - (double)k->effective / (double)k->cnt;

	return k->cost >= CADENCE_COST_MAX || (idle >= CADENCE_IDLE_SHARE && k->cost >= CADENCE_IDLE_COST);
}

void rule_purge_often(const struct rule_case *c, struct verdict_line *line)
{
	char every[UNITS_TEXT_MAX], each[UNITS_TEXT_MAX], better[UNITS_TEXT_MAX], took[UNITS_TEXT_MAX],
		place[OWN_LINE_MAX];
	struct cadence k;

	if (!look(c, CADENCE_OFTEN_MIN, &k) || !is_too_often(&k) ||
	    (k.suggested > 0 && k.suggested <= k.every))
		return;
	rule_whom(c, line, k.last->stack, place);
	rule_say(line, VERDICT_WARNING, 0,
		 "purges come too often, one every %s%s%s: they take %.1f %% of the time (%s each) and "
		 "return %s "
		 "each",
		 seconds(every, k.every), place[0] ? " at " : "", place, 100 * k.cost,
		 seconds(took, k.duration), units_bytes(each, k.returned / k.cnt));
	if (k.suggested > 0)
		rule_advise(line, "one every %s is enough", seconds(better, k.suggested));
	else
		rule_advise(line, "there is nothing for them to return: leave them out");
	say_evidence(&k, line);
}
