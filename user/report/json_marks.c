#include "report/json_marks.h"

#include <stdlib.h>

#include "base/clock.h"
#include "report/mark_kinds.h"

static void mark(struct json *j, cJSON *list, const struct mark_finding *f)
{
	cJSON *o = json_object(j, list, NULL);

	json_seconds(j, o, "time", clock_epoch(f->time_ns));
	json_text(j, o, "kind", f->kind);
	json_text(j, o, "text", f->text);
	json_figure(j, o, "rss", f->rss);
	json_figure(j, o, "live", f->live);
	json_figure(j, o, "live_heap", f->live_heap);
	json_figure(j, o, "retained", f->retained);
	json_figure(j, o, "purgeable", f->purgeable);
	if (f->retained == UNKNOWN)
		json_null(j, o, "read_after");
	else
		json_seconds(j, o, "read_after", (double)f->state_ns / 1e9);
}

static void series(struct json *j, cJSON *parent, enum mark_figure figure, const struct mark_series *v)
{
	cJSON *o = json_object(j, parent, mark_figure_names[figure]);
	bool sloped = v->trend == MARK_GROWS || v->trend == MARK_FALLS;

	json_figure(j, o, "first", v->first);
	json_figure(j, o, "last", v->last);
	json_figure(j, o, "min", v->min);
	json_figure(j, o, "max", v->max);
	json_figure(j, o, "median", v->median);
	json_text(j, o, "trend", mark_trend_names[v->trend]);
	if (sloped)
		json_signed(j, o, "slope", (int64_t)v->slope);
	else
		json_null(j, o, "slope");
	json_figure(j, o, "level", v->trend == MARK_STEADY || v->trend == MARK_PLATEAU ? v->level : UNKNOWN);
	json_figure(j, o, "after", v->trend == MARK_PLATEAU ? v->after : UNKNOWN);
}

static void kind(struct json *j, cJSON *list, const struct mark_kind *k)
{
	cJSON *o = json_object(j, list, NULL);

	json_text(j, o, "kind", k->kind);
	json_bool(j, o, "purges", k->is_purge);
	json_integer(j, o, "count", k->cnt);
	json_integer(j, o, "skipped", k->skipped);
	for (enum mark_figure figure = 0; figure < MARK_FIGURE_CNT; figure++)
		series(j, o, figure, &k->series[figure]);
	json_text(j, o, "words", k->words[0] ? k->words : NULL);
}

static void kinds(struct json *j, cJSON *parent, const struct snapshot *s)
{
	struct mark_kind *v;
	cJSON *list;
	size_t cnt;

	if (!s->final || mark_kinds_make(s, &v, &cnt)) {
		j->failed |= s->final;
		json_null(j, parent, "mark_kinds");
		return;
	}
	list = json_array(j, parent, "mark_kinds");
	for (size_t i = 0; i < cnt; i++)
		kind(j, list, &v[i]);
	free(v);
}

void json_marks(struct json *j, cJSON *parent, const struct snapshot *s)
{
	cJSON *list = json_array(j, parent, "marks");

	for (size_t i = 0; i < s->mark_cnt; i++)
		mark(j, list, s->marks[i]);
	json_integer(j, parent, "marks_total", s->marks_total);
	kinds(j, parent, s);
}
