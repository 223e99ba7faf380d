/* --json of `check`: the findings, and the figures that they judge by; the manual page has every field. */
#include <limits.h>
#include <string.h>

#include "base/clock.h"
#include "report/check.h"
#include "report/json_cgroup.h"
#include "report/json_tree.h"

#define SCHEMA 1

static void findings(struct json *j, const struct check_findings *found)
{
	cJSON *list;

	json_integer(j, j->root, "warnings", found->of[CHECK_WARN]);
	json_integer(j, j->root, "unknown", found->of[CHECK_UNKNOWN]);
	json_integer(j, j->root, "passed", found->of[CHECK_PASS]);
	list = json_array(j, j->root, "findings");
	for (size_t i = 0; i < found->cnt; i++) {
		cJSON *o = json_object(j, list, NULL);

		json_text(j, o, "check", found->v[i].check);
		json_text(j, o, "status", check_status_names[found->v[i].status]);
		json_text(j, o, "evidence", found->v[i].evidence);
		json_text(j, o, "fix", found->v[i].fix[0] ? found->v[i].fix : NULL);
	}
}

/* One figure a kind, under its name with underscores. */
static void by_kind(struct json *j, cJSON *o, const uint64_t cnt[DESCRIPTOR_KIND_CNT])
{
	for (int k = 0; k < DESCRIPTOR_KIND_CNT; k++) {
		char name[32];

		snprintf(name, sizeof(name), "%s", descriptor_kind_names[k]);
		for (char *blank = name; (blank = strchr(blank, ' ')); blank++)
			*blank = '_';
		json_integer(j, o, name, cnt[k]);
	}
}

static void samples(struct json *j, const struct check_facts *f)
{
	cJSON *list = json_array(j, j->root, "samples");

	for (size_t i = 0; i < f->sample_cnt; i++) {
		const struct check_sample *s = &f->samples[i];
		cJSON *o = json_object(j, list, NULL);

		json_seconds(j, o, "time", clock_epoch(s->time_ns));
		json_integer(j, o, "rss", s->rss);
		json_integer(j, o, "shmem", s->shmem);
		json_integer(j, o, "swap", s->swap);
		json_cgroup_figure(j, o, "cgroup_current", s->cgroup_current);
		json_figure(j, o, "descriptors", s->descriptor_cnt);
		by_kind(j, json_object(j, o, "by_kind"), s->descriptors);
		by_kind(j, json_object(j, o, "opened"), s->fresh);
	}
}

static void cgroup(struct json *j, const struct check_facts *f)
{
	cJSON *o;

	if (!f->in_cgroup) {
		json_null(j, j->root, "cgroup");
		return;
	}
	o = json_object(j, j->root, "cgroup");
	json_text(j, o, "path", f->cgroup.path);
	json_integer(j, o, "version", f->cgroup.v1 ? 1 : 2);
	json_text(j, o, "unit", f->has_unit ? f->unit.name : NULL);
	json_cgroup_memory(j, o, &f->memory);
}

static void heap(struct json *j, const struct heap_state *h)
{
	cJSON *o;

	if (!h->taken_ns) {
		json_null(j, j->root, "heap");
		return;
	}
	o = json_object(j, j->root, "heap");
	json_figure(j, o, "held", h->held);
	json_figure(j, o, "resident", h->resident);
	json_figure(j, o, "live_heap", h->live_heap);
	json_figure(j, o, "retained", h->retained);
	json_figure(j, o, "purgeable", h->purgeable);
	json_figure(j, o, "pinned", h->pinned);
}

static const struct heap_arena *find_arena(const struct heap_state *h, uint64_t addr)
{
	for (size_t i = 0; addr && i < h->allocator_cnt; i++)
		for (size_t k = 0; k < h->allocators[i].walk.arena_cnt; k++)
			if (h->allocators[i].walk.arenas[k].addr == addr)
				return &h->allocators[i].walk.arenas[k];
	return NULL;
}

static void threads(struct json *j, const struct check_facts *f)
{
	cJSON *list = json_array(j, j->root, "threads");

	for (size_t i = 0; i < f->threads.cnt; i++) {
		const struct heap_arena *arena =
			f->thread_arenas ? find_arena(&f->heap, f->thread_arenas[i]) : NULL;
		cJSON *o = json_object(j, list, NULL);

		json_integer(j, o, "tid", (uint64_t)f->threads.v[i].tid);
		json_text(j, o, "name", f->threads.v[i].name);
		json_text(j, o, "arena", arena ? arena->name : NULL);
	}
}

int report_check_json(FILE *out, const struct check_report *r)
{
	const struct check_facts *f = r->facts;
	struct json j;

	json_init(&j);
	json_integer(&j, j.root, "schema", SCHEMA);
	json_seconds(&j, j.root, "time", clock_epoch(r->time_ns));
	json_integer(&j, j.root, "pid", (uint64_t)f->pid);
	json_text(&j, j.root, "command", f->command);
	findings(&j, r->findings);
	samples(&j, f);
	cgroup(&j, f);
	if (f->oom_score_adj == INT_MIN)
		json_null(&j, j.root, "oom_score_adj");
	else
		json_signed(&j, j.root, "oom_score_adj", f->oom_score_adj);
	heap(&j, &f->heap);
	threads(&j, f);
	return json_write(&j, out);
}
