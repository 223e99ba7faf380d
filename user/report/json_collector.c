#include "report/json_collector.h"

#include "base/clock.h"

static void runs(struct json *j, cJSON *list, const struct collector_runs *r)
{
	cJSON *o = json_object(j, list, NULL);

	json_integer(j, o, "runs", r->cnt);
	json_integer(j, o, "collected", r->collected);
	json_integer(j, o, "ns", r->ns);
	json_integer(j, o, "longest_ns", r->longest_ns);
}

static void instant(struct json *j, cJSON *o, const char *name, uint64_t time_ns)
{
	if (time_ns)
		json_seconds(j, o, name, clock_epoch(time_ns));
	else
		json_null(j, o, name);
}

static void gap(struct json *j, cJSON *list, const struct collector_gap *g)
{
	cJSON *o = json_object(j, list, NULL);

	instant(j, o, "start", g->start_ns);
	instant(j, o, "end", g->end_ns);
	json_integer(j, o, "phases", g->phases);
	json_integer(j, o, "purges", g->purges);
	json_integer(j, o, "live_first", g->live_first);
	json_integer(j, o, "live_last", g->live_last);
	if (g->by_collection)
		json_integer(j, o, "collected", g->collected);
	else
		json_null(j, o, "collected");
	json_bool(j, o, "flagged", g->flagged);
}

void json_collector(struct json *j, cJSON *parent, const struct snapshot *s)
{
	cJSON *o, *list;

	if (!s->collector) {
		json_null(j, parent, "gc");
		return;
	}
	o = json_object(j, parent, "gc");
	list = json_array(j, o, "generations");
	for (int i = 0; i < COLLECTOR_GENERATIONS; i++)
		runs(j, list, &s->collector->runs[i]);
	instant(j, o, "last_full", s->collector->last_full_ns);
	json_integer(j, o, "purges", s->collector->purges);
	json_integer(j, o, "purges_without", s->collector->purges_without);
	list = json_array(j, o, "gaps");
	for (size_t i = 0; i < s->gap_cnt; i++)
		gap(j, list, &s->gaps[i]);
}
