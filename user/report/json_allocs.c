#include "report/json_allocs.h"

#include "base/clock.h"
#include "report/json_budget.h"
#include "report/json_frame.h"

#define SITES_INTERVAL 100 /* of those with most live bytes */

static void count(struct json *j, cJSON *parent, const char *name, const struct site_count *c)
{
	cJSON *o = json_object(j, parent, name);

	json_integer(j, o, "count", c->cnt);
	json_integer(j, o, "bytes", c->bytes);
}

/* Its own figures are the sums; reasons by number. */
static void truncated(struct json *j, cJSON *parent, const struct site_count by[STACK_CUT_CNT])
{
	cJSON *o = json_object(j, parent, "truncated"), *reasons;

	json_integer(j, o, "count", by[STACK_WHOLE].cnt);
	json_integer(j, o, "bytes", by[STACK_WHOLE].bytes);
	reasons = json_object(j, o, "reasons");
	for (int cut = STACK_WHOLE + 1; cut < STACK_CUT_CNT; cut++)
		json_integer(j, reasons, stack_cut_names[cut], by[cut].cnt);
}

static void stacks(struct json *j, cJSON *parent, const struct stacks_counts *c)
{
	cJSON *o = json_object(j, parent, "stacks");

	json_integer(j, o, "known", c->known);
	json_integer(j, o, "again", c->again);
	json_integer(j, o, "refused", c->refused);
}

static void rate(struct json *j, cJSON *o, const char *name, uint64_t now, uint64_t before, uint64_t ns)
{
	if (ns)
		json_number(j, o, name, (double)(now - before) / ((double)ns / 1e9));
	else
		json_null(j, o, name);
}

static void rates(struct json *j, cJSON *parent, const struct snapshot *s)
{
	const struct ledger_totals *now = &s->allocs->totals, *before = &s->allocs->before;
	cJSON *o = json_object(j, parent, "rates");

	rate(j, o, "allocs", now->allocated.cnt, before->allocated.cnt, s->interval_ns);
	rate(j, o, "frees", now->freed.cnt, before->freed.cnt, s->interval_ns);
	rate(j, o, "allocated", now->allocated.bytes, before->allocated.bytes, s->interval_ns);
	rate(j, o, "freed", now->freed.bytes, before->freed.bytes, s->interval_ns);
}

static void peak(struct json *j, cJSON *parent, const struct ledger_totals *t)
{
	cJSON *o = json_object(j, parent, "peak");

	json_integer(j, o, "bytes", t->peak.bytes);
	json_integer(j, o, "blocks", t->peak.cnt);
	if (t->peak_ns)
		json_seconds(j, o, "time", clock_epoch(t->peak_ns));
	else
		json_null(j, o, "time");
}

static void totals(struct json *j, cJSON *o, const struct snapshot *s)
{
	const struct ledger_totals *t = &s->allocs->totals;

	json_integer(j, o, "allocs", t->allocated.cnt);
	json_integer(j, o, "frees", t->freed.cnt);
	json_integer(j, o, "allocated", t->allocated.bytes);
	json_integer(j, o, "freed", t->freed.bytes);
	rates(j, o, s);
	json_integer(j, o, "live", t->live.bytes);
	json_integer(j, o, "live_blocks", t->live.cnt);
	json_figure(j, o, "live_rounded", t->live_rounded);
	peak(j, o, t);
	count(j, o, "temporary", &t->temporary);
	count(j, o, "freed_before", &t->freed_before);
	json_integer(j, o, "failed", t->failed);
	count(j, o, "ghosts", &t->ghosts);
	count(j, o, "untracked", &t->untracked);
}

static void classes(struct json *j, cJSON *parent, const struct survey_result *survey)
{
	cJSON *list = json_array(j, parent, "classes"), *o;

	for (unsigned i = 0; i < HEAP_CLASS_CNT; i++) {
		const struct heap_blocks *class = &survey->rest_class[i];

		if (!class->cnt && !class->bytes)
			continue;
		o = json_object(j, list, NULL);
		json_integer(j, o, "min", 1ULL << i);
		json_integer(j, o, "blocks", class->cnt);
		json_integer(j, o, "pinned", class->bytes);
	}
}

static void survey(struct json *j, cJSON *parent, const struct snapshot *s)
{
	const struct survey_result *survey = s->allocs->survey;
	cJSON *o, *rest;

	if (!survey) {
		json_null(j, parent, "survey");
		return;
	}
	o = json_object(j, parent, "survey");
	json_seconds(j, o, "age",
		     s->time_ns > survey->walked_ns ? (double)(s->time_ns - survey->walked_ns) / 1e9 : 0);
	json_seconds(j, o, "older", (double)s->allocs->older_ns / 1e9);
	json_integer(j, o, "pinned", survey->pinned);
	rest = json_object(j, o, "rest");
	json_integer(j, rest, "pinned", survey->rest.pinned);
	classes(j, rest, survey);
}

static void surveyed(struct json *j, cJSON *o, const struct site_survey *survey)
{
	json_figure(j, o, "pinned", survey ? survey->pinned : UNKNOWN);
	json_figure(j, o, "alone", survey ? survey->alone : UNKNOWN);
	json_figure(j, o, "old", survey ? survey->old.bytes : UNKNOWN);
	json_figure(j, o, "old_blocks", survey ? survey->old.cnt : UNKNOWN);
}

static void site(struct json *j, cJSON *o, const struct site_view *v)
{
	const struct site *f = v->figures;

	json_stack(j, o, v->stack);
	json_bool(j, o, "truncated", v->stack && v->stack->cut);
	json_integer(j, o, "live", f->live.bytes);
	json_integer(j, o, "live_blocks", f->live.cnt);
	json_integer(j, o, "allocated", f->allocated.bytes);
	json_integer(j, o, "allocs", f->allocated.cnt);
	json_integer(j, o, "freed", f->freed.bytes);
	json_integer(j, o, "frees", f->freed.cnt);
	json_integer(j, o, "freed_here", f->freed_here.bytes);
	json_integer(j, o, "frees_here", f->freed_here.cnt);
	json_integer(j, o, "temporary", f->temporary.bytes);
	json_integer(j, o, "temporaries", f->temporary.cnt);
	json_integer(j, o, "peak", v->peak.bytes);
	json_integer(j, o, "peak_blocks", v->peak.cnt);
	surveyed(j, o, v->survey);
	if (v->bounds)
		json_bounds(j, o, v->bounds);
}

/* There may be a hundred thousand of them: all only in the last object. */
static void sites(struct json *j, cJSON *parent, const struct snapshot *s, const struct allocation_view *a)
{
	size_t max = a->top ? a->top : s->final ? SIZE_MAX : SITES_INTERVAL;
	cJSON *list = json_array(j, parent, "sites");
	struct json item;

	for (size_t i = 0; i < a->site_cnt && i < max; i++)
		stack_want(s->names, a->sites[i].stack);
	names_wait(s->names);
	for (size_t i = 0; i < a->site_cnt && i < max; i++) {
		json_init(&item);
		site(&item, item.root, &a->sites[i]);
		json_flat(j, list, NULL, &item);
	}
	json_integer(j, parent, "sites_total", a->site_cnt);
}

static void objects(struct json *j, cJSON *parent, const struct snapshot *s)
{
	const struct objects_view *v = s->allocs->objects;
	cJSON *o;

	if (!v) {
		json_null(j, parent, "objects");
		return;
	}
	o = json_object(j, parent, "objects");
	json_bool(j, o, "on", v->on);
	json_number(j, o, "duty", v->duty);
	json_bool(j, o, "in_cells", v->in_cells);
	json_bool(j, o, "estimated", v->sites.budget.estimated);
	if (v->probe_share >= 0)
		json_number(j, o, "probe_cpu_share", v->probe_share);
	else
		json_null(j, o, "probe_cpu_share");
	count(j, o, "born", &v->born);
	count(j, o, "died", &v->died);
	json_integer(j, o, "live", v->sites.totals.live.bytes);
	json_integer(j, o, "live_blocks", v->sites.totals.live.cnt);
	json_figure(j, o, "live_heap", v->live_heap);
	if (v->sites.budget.estimated)
		json_total_bounds(j, o, &v->sites.budget.totals);
	json_figure(j, o, "sample_bytes", v->sites.sample_bytes ? v->sites.sample_bytes : UNKNOWN);
	truncated(j, o, v->sites.truncated);
	sites(j, o, s, &v->sites);
}

void json_allocs(struct json *j, cJSON *parent, const struct snapshot *s)
{
	const struct allocation_view *a = s->allocs;
	cJSON *o;

	if (!a) {
		json_null(j, parent, "allocs");
		return;
	}
	o = json_object(j, parent, "allocs");
	totals(j, o, s);
	json_figure(j, o, "unattributed", a->unattributed);
	json_budget(j, o, &a->budget);
	if (a->budget.estimated)
		json_total_bounds(j, o, &a->budget.totals);
	stacks(j, o, &a->stacks);
	truncated(j, o, a->truncated);
	json_figure(j, o, "sample_bytes", a->sample_bytes ? a->sample_bytes : UNKNOWN);
	json_figure(j, o, "free_sample_bytes", a->free_sample_bytes ? a->free_sample_bytes : UNKNOWN);
	survey(j, o, s);
	sites(j, o, s, a);
	objects(j, o, s);
}

void json_window_freed(struct json *j, cJSON *parent, const struct snapshot *s,
		       const struct window_finding *w)
{
	const struct allocation_view *a = s->allocs;
	cJSON *list = json_array(j, parent, "freed"), *o;

	for (unsigned i = 0; a && i < w->freed_cnt; i++) {
		uint32_t number = w->freed[i].site;
		const struct site_view *view = number < a->number_cnt ? a->by_number[number] : NULL;

		stack_want(s->names, view ? view->stack : NULL);
		names_wait(s->names);

		o = json_object(j, list, NULL);
		json_integer(j, o, "bytes", w->freed[i].bytes);
		json_stack(j, o, view ? view->stack : NULL);
	}
}
