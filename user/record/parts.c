#include "record/parts.h"

#include <errno.h>

#define LOST_MAX 64
#define MISSING_MAX 256
#define SHARE_MAX 1e9

_Static_assert(sizeof(struct ledger_totals) == 20 * sizeof(uint64_t), "a figure more: raise RECORD_VERSION");
_Static_assert(sizeof(struct site_bounds) == 16 * sizeof(uint64_t), "a figure more: raise RECORD_VERSION");
_Static_assert(sizeof(struct returned) == 6 * sizeof(uint64_t), "a figure more: raise RECORD_VERSION");
_Static_assert(sizeof(struct state_sample) == 9 * sizeof(uint64_t), "a figure more: raise RECORD_VERSION");

static void code_limit(struct codec *c, struct cgroup_limit *l)
{
	codec_figure(c, &l->bytes);
	codec_chars(c, l->path, sizeof(l->path));
}

static void code_pressure(struct codec *c, struct cgroup_pressure *p)
{
	codec_double(c, &p->avg10);
	codec_double(c, &p->avg60);
	codec_double(c, &p->avg300);
	codec_number(c, &p->total_us);
}

static void code_memory(struct codec *c, struct cgroup_memory *m)
{
	int64_t group = m->oom_group;

	codec_figure(c, &m->current);
	codec_figure(c, &m->peak);
	codec_figure(c, &m->high);
	codec_figure(c, &m->max);
	codec_figure(c, &m->swap_current);
	codec_figure(c, &m->swap_max);
	code_limit(c, &m->effective_high);
	code_limit(c, &m->effective_max);
	code_limit(c, &m->effective_swap_max);
	codec_figure(c, &m->events.low);
	codec_figure(c, &m->events.high);
	codec_figure(c, &m->events.max);
	codec_figure(c, &m->events.oom);
	codec_figure(c, &m->events.oom_kill);
	codec_signed(c, &group);
	m->oom_group = (int)group;
	code_pressure(c, &m->some);
	code_pressure(c, &m->full);
}

/* What is computed with must be a number of a size that it can have. */
static void check_double(struct codec *c, double v, double most)
{
	if (!(v >= -most && v <= most))
		codec_refuse(c);
}

static void code_cgroup(struct codec *c, struct cgroup_view *v)
{
	codec_name(c, &v->path);
	code_memory(c, &v->memory);
	codec_number(c, &v->high_events);
	codec_number(c, &v->max_events);
	codec_number(c, &v->oom_kills);
	codec_bool(c, &v->growing);
	codec_double(c, &v->growth);
	codec_double(c, &v->seconds_to_limit);
	check_double(c, v->growth, 1e15);
	if (v->growing && v->growth < 0)
		codec_refuse(c);
	check_double(c, v->seconds_to_limit, 1e10);
	codec_figure(c, &v->limit);
}

void code_picture(struct codec *c, struct picture *p)
{
	struct cgroup_view *cgroup;

	p->kind = codec_choice(c, p->kind, PICTURE_FINAL + 1);
	codec_number(c, &p->time_ns);
	codec_number(c, &p->started_ns);
	codec_signed(c, &p->epoch_ns);
	codec_name(c, &p->title);
	codec_text(c, &p->ended);
	codec_bool(c, &p->with_ended);
	codec_number(c, &p->first);
	codec_number(c, &p->ever);
	codec_number(c, &p->living);
	codec_number(c, &p->went);
	codec_number(c, &p->left_out);
	codec_number(c, &p->too_short);
	p->cgroup = cgroup = codec_part(c, p->cgroup, sizeof(*p->cgroup));
	if (cgroup)
		code_cgroup(c, cgroup);
}

static void code_totals(struct codec *c, struct ledger_totals *t)
{
	codec_figures(c, t, sizeof(*t));
}

static void code_survey(struct codec *c, struct survey_result *r)
{
	codec_number(c, &r->walked_ns);
	codec_figure(c, &r->pinned);
	codec_figures(c, &r->rest, sizeof(r->rest));
	codec_figures(c, r->rest_class, sizeof(r->rest_class));
	codec_number(c, &r->ghosts);
	codec_number(c, &r->cost_ns);
	codec_unsigned(c, &r->site_cnt);
}

/* What version 1 had in place of a budget. */
static void read_cost(struct codec *c, struct budget_view *b, uint64_t sample_bytes, const char **removed)
{
	*b = (struct budget_view){
		.tracer_share = -1, .duty = 1, .duty_now = 1, .estimated = sample_bytes != 0};
	codec_double(c, &b->probe_share);
	codec_text(c, removed);
}

static void code_budget(struct codec *c, struct budget_view *b)
{
	codec_double(c, &b->max_overhead);
	codec_double(c, &b->probe_share);
	codec_double(c, &b->tracer_share);
	codec_double(c, &b->duty);
	codec_double(c, &b->duty_now);
	codec_bool(c, &b->estimated);
	codec_double(c, &b->error);
	check_double(c, b->max_overhead, SHARE_MAX);
	check_double(c, b->duty, SHARE_MAX);
	check_double(c, b->error, SHARE_MAX);
	if (b->estimated)
		codec_figures(c, &b->totals, sizeof(b->totals));
}

/* Of blocks, or of objects. *removed: why probes had been removed, of version 1. */
static void code_ledger(struct codec *c, struct allocation_view *a, const char **removed)
{
	struct survey_result *survey;

	code_totals(c, &a->totals);
	code_totals(c, &a->before);
	codec_figure(c, &a->unattributed);
	codec_number(c, &a->older_ns);
	codec_number(c, &a->top);
	codec_number(c, &a->stacks.known);
	codec_number(c, &a->stacks.again);
	codec_number(c, &a->stacks.refused);
	codec_figures(c, a->truncated, sizeof(a->truncated));
	codec_number(c, &a->sample_bytes);
	codec_number(c, &a->free_sample_bytes);
	if (codec_version(c) == 1)
		read_cost(c, &a->budget, a->sample_bytes, removed);
	else
		code_budget(c, &a->budget);
	a->survey = survey = codec_part(c, a->survey, sizeof(*survey));
	if (survey)
		code_survey(c, survey);
}

static void code_objects(struct codec *c, struct objects_view *o)
{
	code_ledger(c, &o->sites, NULL);
	codec_figures(c, &o->born, sizeof(o->born));
	codec_figures(c, &o->died, sizeof(o->died));
	codec_figure(c, &o->live_heap);
	codec_bool(c, &o->on);
	codec_bool(c, &o->in_cells);
	codec_double(c, &o->duty);
	codec_double(c, &o->probe_share);
	check_double(c, o->duty, SHARE_MAX);
	check_double(c, o->probe_share, SHARE_MAX);
}

static void code_allocs(struct codec *c, struct allocation_view *a, const char **removed)
{
	struct objects_view *objects;

	code_ledger(c, a, removed);
	if (codec_version(c) < 3)
		return;
	a->objects = objects = codec_part(c, a->objects, sizeof(*objects));
	if (objects)
		code_objects(c, objects);
}

static void code_process(struct codec *c, struct snapshot *s)
{
	int64_t pid = s->pid;

	codec_number(c, &s->time_ns);
	codec_number(c, &s->started_ns);
	codec_number(c, &s->interval_ns);
	codec_signed(c, &pid);
	s->pid = (pid_t)pid;
	codec_name(c, &s->command);
	codec_bool(c, &s->final);
	codec_bool(c, &s->gone);
	codec_bool(c, &s->killed);
	codec_text(c, &s->ended);
	codec_figure(c, &s->rss);
	codec_figure(c, &s->shmem);
	codec_figure(c, &s->lazy_free);
	codec_figure(c, &s->swap);
}

static void code_lost(struct codec *c, uint64_t lost[SOURCE_LOSS_CNT])
{
	uint64_t cnt = SOURCE_LOSS_CNT, more;

	codec_number(c, &cnt);
	if (cnt > LOST_MAX)
		codec_refuse(c);
	for (uint64_t i = 0; i < cnt && codec_is_well(c); i++)
		codec_number(c, i < SOURCE_LOSS_CNT ? &lost[i] : &more);
}

/* One more thing that was not seen. */
static void add_missing(struct codec *c, struct snapshot *s, const char *what)
{
	const char **list = arena_get(c->arena, (s->missing_cnt + 1) * sizeof(*list));

	if (!list) {
		c->status = -ENOMEM;
		return;
	}
	for (size_t i = 0; i < s->missing_cnt; i++)
		list[i] = s->missing[i];
	list[s->missing_cnt++] = what;
	s->missing = list;
}

static void code_missing(struct codec *c, struct snapshot *s)
{
	const char **list = codec_list(c, s->missing, &s->missing_cnt, sizeof(*list), MISSING_MAX);

	for (size_t i = 0; i < s->missing_cnt; i++)
		codec_name(c, &list[i]);
	s->missing = list;
}

void code_snapshot(struct codec *c, struct snapshot *s)
{
	struct allocation_view *allocs;
	const char *removed = NULL;
	struct heap_state *heap;

	code_process(c, s);
	s->heap = heap = codec_part(c, s->heap, sizeof(*heap));
	if (heap)
		code_heap(c, heap);
	else
		codec_refuse(c);
	codec_figures(c, &s->returned, sizeof(s->returned));
	code_findings(c, s);
	s->allocs = allocs = codec_part(c, s->allocs, sizeof(*allocs));
	if (allocs)
		code_allocs(c, allocs, &removed);
	code_lost(c, s->lost);
	code_missing(c, s);
	if (removed)
		add_missing(c, s, removed);
}
