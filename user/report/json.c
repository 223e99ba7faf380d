/*
 * --json: one object a process and interval, on one line. The man page (command/alloctrace.8)
 * documents every field; SCHEMA rises when one changes its meaning or goes away.
 */
#include <math.h>

#include "base/clock.h"
#include "report/json_allocs.h"
#include "report/report.h"
#include "report/json_cgroup.h"
#include "report/json_collector.h"
#include "report/json_frame.h"
#include "report/json_heap.h"
#include "report/json_marks.h"
#include "report/json_tree.h"
#include "report/json_verdict.h"
#include "picture/snapshot.h"
#include "verdict/words.h"

#define SCHEMA 1

static void name_callers(const struct snapshot *s)
{
	for (size_t i = 0; i < s->purge_cnt; i++)
		stack_want(s->names, s->purges[i]->stack);
	for (size_t i = 0; i < s->churn_cnt; i++)
		stack_want(s->names, s->churn[i]->stack);
	names_wait(s->names);
}

static void purge(struct json *j, cJSON *purges, const struct purge_finding *p)
{
	cJSON *o = json_object(j, purges, NULL);
	char argument[VERDICT_ARGUMENT_MAX];

	json_seconds(j, o, "time", clock_epoch(p->time_ns));
	json_text(j, o, "function", p->function);
	json_text(j, o, "argument", verdict_purge_argument(p, argument));
	json_text(j, o, "allocator", p->allocator);
	json_stack(j, o, p->stack);
	json_integer(j, o, "duration_ns", p->duration_ns);
	if (p->has_result)
		json_integer(j, o, "result", p->result);
	else
		json_null(j, o, "result");
	json_integer(j, o, "returned", p->returned);
	if (p->has_cgroup)
		json_signed(j, o, "cgroup_drop", p->cgroup_drop);
	else
		json_null(j, o, "cgroup_drop");
	json_figure(j, o, "predicted", p->predicted);
	if (p->predicted == UNKNOWN)
		json_null(j, o, "prediction_age");
	else
		json_seconds(j, o, "prediction_age", (double)p->prediction_age_ns / 1e9);
	json_bool(j, o, "effective", p->effective);
	json_bool(j, o, "misdirected", p->misdirected);
}

static void window(struct json *j, cJSON *windows, const struct snapshot *s, const struct window_finding *w)
{
	cJSON *o = json_object(j, windows, NULL);

	json_seconds(j, o, "start", clock_epoch(w->start_ns));
	if (w->end_ns)
		json_seconds(j, o, "end", clock_epoch(w->end_ns));
	else
		json_null(j, o, "end");
	json_integer(j, o, "peak_retained", w->peak_retained);
	json_integer(j, o, "peak_purgeable", w->peak_purgeable);
	json_integer(j, o, "byte_seconds", (uint64_t)fmin(fmax(w->byte_seconds, 0), 0x1p63));
	json_integer(j, o, "ineffective_purges", w->ineffective_purges);
	json_bool(j, o, "closed_by_purge", w->closed_by_purge);
	json_bool(j, o, "closed_by_allocator", w->closed_by_itself);
	json_window_freed(j, o, s, w);
}

static void churn(struct json *j, cJSON *rows, const struct churn_finding *c)
{
	cJSON *o = json_object(j, rows, NULL);

	json_text(j, o, "library", c->library);
	json_stack(j, o, c->stack);
	json_integer(j, o, "opens", c->opens);
	json_integer(j, o, "closes", c->closes);
	json_integer(j, o, "repeats", c->repeats);
	json_integer(j, o, "new_mappings", c->new_mappings);
	json_integer(j, o, "failures", c->failures);
	json_integer(j, o, "ns", c->ns);
	json_signed(j, o, "maps_grown", c->maps_grown);
	json_signed(j, o, "heap_grown", c->heap_grown);
	json_bool(j, o, "flagged", c->flagged);
}

static void head(struct json *j, cJSON *o, const struct snapshot *s)
{
	json_integer(j, o, "schema", SCHEMA);
	json_seconds(j, o, "time", clock_epoch(s->time_ns));
	json_integer(j, o, "pid", (uint64_t)s->pid);
	json_text(j, o, "command", s->command);
	json_bool(j, o, "final", s->final);
	json_text(j, o, "ended", s->ended);
	json_seconds(j, o, "started", clock_epoch(s->started_ns));
	json_seconds(j, o, "interval", (double)s->interval_ns / 1e9);
	if (s->heap->taken_ns)
		json_seconds(j, o, "state_age", verdict_state_age(s));
	else
		json_null(j, o, "state_age");
}

/* A state that was never taken has zeros where nothing is known yet. */
static void figures(struct json *j, cJSON *o, const struct snapshot *s)
{
	const struct heap_state *h = s->heap;
	bool known = h->taken_ns != 0;

	json_figure(j, o, "rss", s->rss);
	json_figure(j, o, "shmem", s->shmem);
	json_figure(j, o, "lazy_free", s->lazy_free);
	json_figure(j, o, "swap", s->swap);
	json_figure(j, o, "held", known ? h->held : UNKNOWN);
	json_figure(j, o, "resident", known ? h->resident : UNKNOWN);
	json_figure(j, o, "live_heap", known ? h->live_heap : UNKNOWN);
	json_figure(j, o, "retained", known ? h->retained : UNKNOWN);
	json_figure(j, o, "purgeable", known ? h->purgeable : UNKNOWN);
	json_figure(j, o, "pinned", known ? h->pinned : UNKNOWN);
}

static void own_returns(struct json *j, cJSON *back, const struct snapshot *s)
{
	cJSON *list = json_array(j, back, "by_allocator");

	for (size_t i = 0; i < s->own_return_cnt; i++) {
		const struct own_return *r = &s->own_returns[i];
		cJSON *o = json_object(j, list, NULL);

		json_text(j, o, "allocator", r->kind->name);
		json_integer(j, o, "bytes", r->bytes);
		json_integer(j, o, "lazy", r->lazy);
		json_integer(j, o, "calls", r->calls);
		json_integer(j, o, "purges", r->purges);
	}
}

static void returned(struct json *j, cJSON *o, const struct snapshot *s)
{
	const struct returned *r = &s->returned;
	cJSON *back = json_object(j, o, "returned"), *taken;

	json_figure(j, back, "purge", r->purge);
	json_figure(j, back, "trim", r->trim);
	json_figure(j, back, "munmap", r->munmap);
	json_figure(j, back, "madvise", r->madvise);
	if (r->purge == UNKNOWN)
		json_null(j, back, "by_allocator");
	else
		own_returns(j, back, s);
	taken = json_object(j, o, "taken");
	json_figure(j, taken, "brk", r->taken_brk);
	json_figure(j, taken, "mmap", r->taken_mmap);
}

static void findings(struct json *j, cJSON *o, const struct snapshot *s)
{
	cJSON *list = json_array(j, o, "purges");

	name_callers(s);
	for (size_t i = 0; i < s->purge_cnt; i++)
		purge(j, list, s->purges[i]);
	json_integer(j, o, "purges_total", s->purges_total);
	list = json_array(j, o, "windows");
	for (size_t i = 0; i < s->window_cnt; i++)
		window(j, list, s, &s->windows[i]);
	list = json_array(j, o, "dlopen");
	for (size_t i = 0; i < s->churn_cnt; i++)
		churn(j, list, s->churn[i]);
}

static void blind_spots(struct json *j, cJSON *o, const struct snapshot *s)
{
	cJSON *lost = json_object(j, o, "lost"), *missing;

	for (size_t i = 0; i < SOURCE_LOSS_CNT; i++) {
		if (s->lost[i])
			json_integer(j, lost, source_loss_names[i], s->lost[i]);
	}
	missing = json_array(j, o, "missing");
	for (size_t i = 0; i < s->missing_cnt; i++)
		json_text(j, missing, NULL, s->missing[i]);
}

int report_json(FILE *out, const struct snapshot *s)
{
	char sentence[VERDICT_MAX];
	struct json j;

	json_init(&j);
	head(&j, j.root, s);
	figures(&j, j.root, s);
	json_text(&j, j.root, "sentence", verdict_sentence(s, sentence));
	json_text(&j, j.root, "layer_sentence", verdict_layer(s, sentence));
	json_verdict(&j, j.root, s);
	returned(&j, j.root, s);
	json_cgroup(&j, j.root, s->cgroup);
	json_allocators(&j, j.root, s->heap);
	json_allocs(&j, j.root, s);
	findings(&j, j.root, s);
	json_collector(&j, j.root, s);
	json_marks(&j, j.root, s);
	blind_spots(&j, j.root, s);
	return json_write(&j, out);
}
