/* What detectors have found: purges, windows, churn, marks, collections; and the readings between. */
#include <errno.h>
#include <string.h>

#include "record/parts.h"

#define SAMPLES_MAX (1u << 20)
#define MARKS_MAX (1u << 20)

_Static_assert(sizeof(struct finding_totals) == 6 * sizeof(uint64_t), "a figure more: raise RECORD_VERSION");
_Static_assert(sizeof(struct collector_runs) == 4 * sizeof(uint64_t), "a figure more: raise RECORD_VERSION");

static void code_mark(struct codec *c, struct mark_finding *m)
{
	codec_number(c, &m->time_ns);
	codec_name(c, &m->kind);
	codec_name(c, &m->text);
	codec_figure(c, &m->rss);
	codec_figure(c, &m->live);
	codec_figure(c, &m->live_heap);
	codec_figure(c, &m->retained);
	codec_figure(c, &m->purgeable);
	codec_signed(c, &m->state_ns);
}

/* What a purge left; none of one that nothing is known of. */
static void code_after(struct codec *c, struct mark_finding *after)
{
	bool is_known = after->kind != NULL;

	codec_bool(c, &is_known);
	if (is_known)
		code_mark(c, after);
}

static void code_purge(struct codec *c, struct purge_finding *p)
{
	codec_number(c, &p->time_ns);
	codec_name(c, &p->function);
	p->control = codec_choice(c, p->control, CONTROL_CNT);
	codec_number(c, &p->arena);
	codec_name(c, &p->allocator);
	codec_stack(c, &p->stack);
	codec_number(c, &p->duration_ns);
	codec_number(c, &p->result);
	codec_bool(c, &p->has_result);
	codec_figure(c, &p->returned);
	codec_signed(c, &p->cgroup_drop);
	codec_bool(c, &p->has_cgroup);
	codec_figure(c, &p->predicted);
	codec_number(c, &p->prediction_age_ns);
	codec_bool(c, &p->effective);
	codec_bool(c, &p->misdirected);
	code_after(c, &p->after);
}

static void code_window(struct codec *c, struct window_finding *w)
{
	codec_number(c, &w->start_ns);
	codec_number(c, &w->end_ns);
	codec_number(c, &w->seen_ns);
	codec_figure(c, &w->peak_retained);
	codec_figure(c, &w->peak_purgeable);
	codec_double(c, &w->byte_seconds);
	codec_unsigned(c, &w->ineffective_purges);
	codec_bool(c, &w->closed_by_purge);
	codec_bool(c, &w->closed_by_itself);
	codec_unsigned(c, &w->freed_cnt);
	if (w->freed_cnt > WINDOW_FREED_MAX) {
		codec_refuse(c);
		w->freed_cnt = 0;
	}
	for (unsigned i = 0; i < w->freed_cnt; i++) {
		codec_unsigned(c, &w->freed[i].site);
		codec_number(c, &w->freed[i].bytes);
	}
}

static void code_churn(struct codec *c, struct churn_finding *f)
{
	codec_name(c, (const char **)&f->library);
	codec_stack(c, &f->stack);
	codec_number(c, &f->opens);
	codec_number(c, &f->closes);
	codec_number(c, &f->repeats);
	codec_number(c, &f->new_mappings);
	codec_number(c, &f->failures);
	codec_number(c, &f->ns);
	codec_signed(c, &f->maps_grown);
	codec_signed(c, &f->heap_grown);
	codec_number(c, &f->changed_ns);
	codec_bool(c, &f->flagged);
}

static void code_gap(struct codec *c, struct collector_gap *g)
{
	codec_number(c, &g->start_ns);
	codec_number(c, &g->end_ns);
	codec_number(c, &g->phases);
	codec_number(c, &g->purges);
	codec_number(c, &g->live_first);
	codec_number(c, &g->live_last);
	codec_number(c, &g->collected);
	codec_bool(c, &g->by_collection);
	codec_bool(c, &g->flagged);
}

static void code_own_return(struct codec *c, struct own_return *r)
{
	codec_allocator(c, &r->kind);
	codec_number(c, &r->bytes);
	codec_number(c, &r->lazy);
	codec_number(c, &r->calls);
	codec_number(c, &r->purges);
}

/* Lists of pointers: one room for what they point to, and one for the pointers. */
static void *code_pointers(struct codec *c, const void *const *from, size_t *cnt, size_t size, size_t max)
{
	char *room = codec_list(c, NULL, cnt, size, max);
	const void **list = room ? arena_get(c->arena, *cnt * sizeof(*list)) : NULL;

	if (room && !list) {
		c->status = -ENOMEM;
		*cnt = 0;
	}
	for (size_t i = 0; list && i < *cnt; i++) {
		list[i] = room + i * size;
		if (codec_writes(c))
			memcpy(room + i * size, from[i], size);
	}
	return list;
}

static void code_purges(struct codec *c, struct snapshot *s)
{
	struct purge_finding **list =
		code_pointers(c, (const void *const *)s->purges, &s->purge_cnt, sizeof(**list), PURGE_KEPT);

	for (size_t i = 0; i < s->purge_cnt; i++)
		code_purge(c, list[i]);
	s->purges = (const struct purge_finding *const *)list;
	codec_number(c, &s->purges_total);
}

static void code_churns(struct codec *c, struct snapshot *s)
{
	struct churn_finding **list = code_pointers(c, (const void *const *)s->churn, &s->churn_cnt,
						    sizeof(**list), CHURN_ROWS_MAX + 1);

	for (size_t i = 0; i < s->churn_cnt; i++)
		code_churn(c, list[i]);
	s->churn = (const struct churn_finding *const *)list;
}

static void code_marks(struct codec *c, struct snapshot *s)
{
	struct mark_finding **list =
		code_pointers(c, (const void *const *)s->marks, &s->mark_cnt, sizeof(**list), MARKS_MAX);

	for (size_t i = 0; i < s->mark_cnt; i++)
		code_mark(c, list[i]);
	s->marks = (const struct mark_finding *const *)list;
	codec_number(c, &s->marks_total);
}

static void code_tallies(struct codec *c, struct snapshot *s)
{
	struct mark_tally *list =
		codec_list(c, s->mark_tallies, &s->mark_tally_cnt, sizeof(*list), MARK_KINDS_MAX);

	for (size_t i = 0; i < s->mark_tally_cnt; i++) {
		codec_name(c, &list[i].kind);
		codec_number(c, &list[i].cnt);
		codec_number(c, &list[i].skipped);
	}
	s->mark_tallies = list;
}

static void code_windows(struct codec *c, struct snapshot *s)
{
	struct window_finding *list =
		codec_list(c, s->windows, &s->window_cnt, sizeof(*list), WINDOW_KEPT + 1);

	for (size_t i = 0; i < s->window_cnt; i++)
		code_window(c, &list[i]);
	s->windows = list;
}

static void code_collector(struct codec *c, struct snapshot *s)
{
	struct collector_view *view = codec_part(c, s->collector, sizeof(*view));
	struct collector_gap *gaps =
		codec_list(c, s->gaps, &s->gap_cnt, sizeof(*gaps), COLLECTOR_GAPS_KEPT + 1);

	s->collector = view;
	if (view) {
		codec_figures(c, view->runs, sizeof(view->runs));
		codec_number(c, &view->last_full_ns);
		codec_number(c, &view->purges);
		codec_number(c, &view->purges_without);
		view->gaps = NULL;
		view->gap_cnt = 0;
	}
	for (size_t i = 0; i < s->gap_cnt; i++)
		code_gap(c, &gaps[i]);
	s->gaps = gaps;
}

static void code_samples(struct codec *c, struct snapshot *s)
{
	struct state_sample *list = codec_list(c, s->samples, &s->sample_cnt, sizeof(*list), SAMPLES_MAX);

	if (list)
		codec_figures(c, list, s->sample_cnt * sizeof(*list));
	s->samples = list;
}

static void code_own_returns(struct codec *c, struct snapshot *s)
{
	struct own_return *list =
		codec_list(c, s->own_returns, &s->own_return_cnt, sizeof(*list), OWN_RETURNS_MAX);

	for (size_t i = 0; i < s->own_return_cnt && codec_is_well(c); i++)
		code_own_return(c, &list[i]);
	s->own_returns = list;
}

void code_findings(struct codec *c, struct snapshot *s)
{
	codec_figures(c, &s->totals, sizeof(s->totals));
	code_own_returns(c, s);
	code_purges(c, s);
	code_windows(c, s);
	code_churns(c, s);
	code_samples(c, s);
	code_marks(c, s);
	code_tallies(c, s);
	code_collector(c, s);
}
