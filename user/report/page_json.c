#include "report/page_json.h"
#include "report/report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "picture/history.h"
#include "report/budget_text.h"
#include "report/json_tree.h"
#include "picture/weight.h"

/* As --json has it, but for the sites, which the page has as a tree. */
static int put_report(FILE *out, const struct snapshot *s)
{
	struct allocation_view few;
	struct snapshot shown = *s;

	if (s->allocs) {
		few = *s->allocs;
		few.top = 1;
		shown.allocs = &few;
	}
	return report_json(out, &shown);
}

bool page_has_errors(const struct weights *w, enum site_weight weight)
{
	const struct allocation_view *a = w->s->allocs;

	if (!weight_is_known(w, weight))
		return false;
	if (weight == WEIGHT_PYTHON)
		return a->objects->in_cells;
	return a->budget.estimated && (weight == WEIGHT_LIVE || weight == WEIGHT_ALLOCATED || weight == WEIGHT_FREED ||
				       weight == WEIGHT_COUNT);
}

static void put_weights(struct json *j, cJSON *o, const struct weights *w)
{
	cJSON *names = json_array(j, o, "weights"), *errors = json_array(j, o, "errors");

	for (int i = 0; i < WEIGHT_CNT; i++) {
		if (weight_is_known(w, i))
			json_text(j, names, NULL, site_weight_names[i]);
		if (page_has_errors(w, i))
			json_text(j, errors, NULL, site_weight_names[i]);
	}
}

static void marks(struct json *j, cJSON *o, const struct snapshot *s)
{
	cJSON *list = json_array(j, o, "marks");

	for (size_t i = 0; i < s->mark_cnt; i++) {
		const struct mark_finding *m = s->marks[i];
		cJSON *mark = json_object(j, list, NULL);

		json_seconds(j, mark, "time", clock_epoch(m->time_ns));
		json_text(j, mark, "kind", m->kind);
		json_text(j, mark, "text", m->text);
		json_figure(j, mark, "rss", m->rss);
		json_figure(j, mark, "live", m->live != UNKNOWN ? m->live : m->live_heap);
		json_figure(j, mark, "retained", m->retained);
		json_figure(j, mark, "purgeable", m->purgeable);
	}
	json_integer(j, o, "marks_total", s->marks_total);
}

static void process(struct json *j, cJSON *list, const struct snapshot *s, bool past)
{
	cJSON *o = json_object(j, list, NULL);
	bool known = s->heap->taken_ns != 0;

	json_integer(j, o, "pid", (uint64_t)s->pid);
	json_text(j, o, "command", s->command);
	json_text(j, o, "ended", s->gone || past ? s->ended : NULL);
	json_figure(j, o, "rss", s->rss);
	json_figure(j, o, "live", known ? s->heap->live_heap : UNKNOWN);
	json_figure(j, o, "retained", known ? s->heap->retained : UNKNOWN);
	json_figure(j, o, "purgeable", known ? s->heap->purgeable : UNKNOWN);
}

/* Whose each purge and window is, where there are several. */
static void pids(struct json *j, cJSON *o, const char *name, const pid_t *v, size_t cnt)
{
	cJSON *list = json_array(j, o, name);

	for (size_t i = 0; v && i < cnt; i++)
		json_integer(j, list, NULL, (uint64_t)v[i]);
}

static void processes(struct json *j, cJSON *o, const struct snapshot *s)
{
	const struct process_rows *rows = s->processes;
	cJSON *list = json_array(j, o, "processes");

	for (size_t i = 0; rows && i < rows->cnt; i++)
		process(j, list, rows->v[i], false);
	for (size_t i = 0; rows && i < rows->past_cnt; i++)
		process(j, list, rows->past[i], true);
	pids(j, o, "purge_pids", s->purge_pids, s->purge_cnt);
	pids(j, o, "window_pids", s->window_pids, s->window_cnt);
}

static int put_extras(FILE *out, const struct snapshot *s, const struct weights *w)
{
	struct history_view view = {.incomplete = false};
	char seen[BUDGET_TEXT_MAX], cost[BUDGET_TEXT_MAX];
	struct json j;

	if (s->history)
		history_view(s->history, &view);
	json_init(&j);
	json_text(&j, j.root, "version", ALLOCTRACE_VERSION);
	put_weights(&j, j.root, w);
	marks(&j, j.root, s);
	processes(&j, j.root, s);
	json_bool(&j, j.root, "incomplete", view.incomplete);
	if (s->allocs) {
		json_text(&j, j.root, "seen", budget_seen_text(seen, s->allocs));
		json_text(&j, j.root, "cost", budget_cost_text(cost, s->allocs));
	}
	return json_write(&j, out);
}

int page_json(const struct snapshot *s, const struct weights *weights, char **text, size_t *len)
{
	FILE *out = open_memstream(text, len);
	int rc;

	if (!out)
		return -ENOMEM;
	fputs("{\"report\":", out);
	rc = put_report(out, s);
	fputs(",\"page\":", out);
	rc = rc ?: put_extras(out, s, weights);
	fputs("}", out);
	if (fclose(out) && !rc)
		rc = -ENOMEM;
	if (rc) {
		free(*text);
		*text = NULL;
	}
	return rc;
}
