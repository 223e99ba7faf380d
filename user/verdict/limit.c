/* The limit of the cgroup: reached, near, or soon. */
#include <inttypes.h>

#include "base/printable.h"
#include "verdict/rule.h"

static bool is_limit(uint64_t bytes)
{
	return bytes && bytes != CGROUP_NO_LIMIT && bytes != CGROUP_UNKNOWN;
}

/*
 * The page cache grows to any limit and gives way there: it is a danger only as far as the processes that
 * are watched grow too, by at least half as much.
 */
static bool grows_with_us(const struct rule_case *c)
{
	const struct trend *t = c->trend;
	const struct trend_mark *first, *last;
	double ours;

	if (!t || t->cnt < 2)
		return false;
	first = &t->marks[t->cnt / 2 > 0 ? t->cnt / 2 - 1 : 0];
	last = &t->marks[t->cnt - 1];
	if (first->figures[TREND_RSS] == UNKNOWN || last->figures[TREND_RSS] == UNKNOWN ||
	    last->time_ns <= first->time_ns)
		return false;
	ours = ((double)last->figures[TREND_RSS] - (double)first->figures[TREND_RSS]) * 1e9 /
	       (double)(last->time_ns - first->time_ns);
	return ours >= c->s->cgroup->growth / 2;
}

static void advise(const struct rule_case *c, struct verdict_line *line)
{
	uint64_t purgeable = c->s->heap->taken_ns ? c->s->heap->purgeable : UNKNOWN;
	char bytes[UNITS_TEXT_MAX];

	if (c->call && purgeable != UNKNOWN && purgeable >= c->much)
		rule_advise(line, "%s would return %s", c->call, units_bytes(bytes, purgeable));
	else if (rule_said(c, VERDICT_LEAK))
		rule_advise(line, "stop the leak; a higher MemoryMax= only buys time");
	else
		rule_advise(line, "the program uses it: raise MemoryMax=, or give it less to do at once");
}

/* The first that applies, the worst first. */
static void say(const struct rule_case *c, struct verdict_line *line)
{
	const struct cgroup_view *g = c->s->cgroup;
	char limit[UNITS_TEXT_MAX], pace[UNITS_TEXT_MAX], span[UNITS_TEXT_MAX], rss[UNITS_TEXT_MAX],
		path[128];
	bool soon = is_limit(g->limit) && g->growing && g->seconds_to_limit >= 0 &&
		    g->seconds_to_limit <= LIMIT_SOON_S && grows_with_us(c);

	printable(path, sizeof(path), g->path);
	units_bytes(limit, g->limit);
	if (g->oom_kills)
		rule_say(line, VERDICT_CRITICAL, g->memory.current,
			 "the OOM killer has ended %" PRIu64 " process%s of cgroup %s since the attach",
			 g->oom_kills, g->oom_kills > 1 ? "es" : "", path);
	else if (soon)
		rule_say(line, g->seconds_to_limit <= LIMIT_NOW_S ? VERDICT_CRITICAL : VERDICT_WARNING,
			 g->limit, "cgroup %s reaches its limit of %s in about %s, growing by %s a minute",
			 path, limit, units_time(span, (uint64_t)(g->seconds_to_limit * 1e9)),
			 units_bytes(pace, (uint64_t)(g->growth * 60)));
	else if (is_limit(g->limit) && c->s->rss != UNKNOWN && !c->s->gone &&
		 (double)c->s->rss >= LIMIT_NEAR * (double)g->limit)
		rule_say(line, VERDICT_WARNING, g->limit, "RSS is %s, near the limit of %s of cgroup %s",
			 units_bytes(rss, c->s->rss), limit, path);
}

void rule_limit(const struct rule_case *c, struct verdict_line *line)
{
	const struct cgroup_view *g = c->s->cgroup;

	if (!g)
		return;
	say(c, line);
	if (!line->sentence[0])
		return;
	advise(c, line);
	if (is_limit(g->memory.current))
		rule_bytes(line, "current", g->memory.current);
	if (is_limit(g->limit))
		rule_bytes(line, "limit", g->limit);
	if (g->growing)
		rule_real(line, "bytes_per_second", g->growth);
	if (g->growing && g->seconds_to_limit >= 0)
		rule_real(line, "seconds_to_limit", g->seconds_to_limit);
	rule_count(line, "oom_kills", g->oom_kills);
}
