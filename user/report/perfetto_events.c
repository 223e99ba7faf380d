/* What happened at moments and for times, on tracks of their own; what is said of each is attached to it. */
#include <stdlib.h>
#include <string.h>

#include "base/printable.h"
#include "heap/state.h"
#include "report/perfetto.h"
#include "report/site_text.h"
#include "verdict/words.h"

#define NOTES_MAX 12
#define LANES_MAX 16 /* of a kind that overlaps: further ones are laid over the last */
#define EVENT_NAME_MAX 256

/* The order of their tracks, below the time lines. */
enum rank {
	RANK_PURGES = 100,
	RANK_WINDOWS,
	RANK_GAPS,
	RANK_DLOPEN,
	RANK_MARKS,
};

/* What is attached to an event. */
struct notes {
	size_t cnt;
	Perfetto__DebugAnnotation v[NOTES_MAX], *p[NOTES_MAX];
	char texts[2][SITE_TEXT_MAX];
	size_t text_cnt;
};

static Perfetto__DebugAnnotation *note(struct notes *n, const char *name)
{
	Perfetto__DebugAnnotation *a = &n->v[n->cnt];

	n->p[n->cnt++] = a;
	perfetto__debug_annotation__init(a);
	a->name = (char *)(uintptr_t)name;
	return a;
}

/* What nobody knows is not said. */
static void note_uint(struct notes *n, const char *name, uint64_t value)
{
	Perfetto__DebugAnnotation *a = value != UNKNOWN ? note(n, name) : NULL;

	if (!a)
		return;
	a->value_case = PERFETTO__DEBUG_ANNOTATION__VALUE_UINT_VALUE;
	a->uint_value = value;
}

static void note_int(struct notes *n, const char *name, int64_t value)
{
	Perfetto__DebugAnnotation *a = note(n, name);

	a->value_case = PERFETTO__DEBUG_ANNOTATION__VALUE_INT_VALUE;
	a->int_value = value;
}

static void note_double(struct notes *n, const char *name, double value)
{
	Perfetto__DebugAnnotation *a = note(n, name);

	a->value_case = PERFETTO__DEBUG_ANNOTATION__VALUE_DOUBLE_VALUE;
	a->double_value = value;
}

static void note_bool(struct notes *n, const char *name, bool value)
{
	Perfetto__DebugAnnotation *a = note(n, name);

	a->value_case = PERFETTO__DEBUG_ANNOTATION__VALUE_BOOL_VALUE;
	a->bool_value = value;
}

/* text: one that stays, and is fit to print. */
static void note_text(struct notes *n, const char *name, const char *text)
{
	Perfetto__DebugAnnotation *a = note(n, name);

	a->value_case = PERFETTO__DEBUG_ANNOTATION__VALUE_STRING_VALUE;
	a->string_value = (char *)(uintptr_t)text;
}

static void note_stack(struct notes *n, const struct stack *stack)
{
	if (stack)
		note_text(n, "by", site_text(n->texts[n->text_cnt++], stack));
}

/* One kind of events: its tracks, as many as have to lie beside each other. */
struct kind {
	struct perfetto *p;
	const char *name, *category;
	int rank;
	size_t lane_cnt;
	struct {
		uint64_t track, end_ns;
	} lanes[LANES_MAX];
};

/* Where an event of that time finds room; they come by their begin. */
static uint64_t lane_of(struct kind *k, uint64_t start_ns, uint64_t end_ns)
{
	size_t i = 0;

	while (i < k->lane_cnt && k->lanes[i].end_ns > start_ns)
		i++;
	if (i == LANES_MAX)
		i--;
	if (i == k->lane_cnt)
		k->lanes[k->lane_cnt++].track = perfetto_track(k->p, k->name, k->rank, NULL);
	k->lanes[i].end_ns = end_ns;
	return k->lanes[i].track;
}

static void put(struct kind *k, Perfetto__TrackEvent *event, uint64_t time_ns, const char *name,
		struct notes *n)
{
	char *categories[] = {(char *)(uintptr_t)k->category};
	char text[EVENT_NAME_MAX];

	event->name = (char *)(uintptr_t)printable(text, sizeof(text), name);
	event->n_categories = 1;
	event->categories = categories;
	event->n_debug_annotations = n->cnt;
	event->debug_annotations = n->p;
	perfetto_put_event(k->p, time_ns, event);
}

static void put_instant(struct kind *k, uint64_t time_ns, const char *name, struct notes *n)
{
	Perfetto__TrackEvent event = PERFETTO__TRACK_EVENT__INIT;

	event.type = PERFETTO__TRACK_EVENT__TYPE__TYPE_INSTANT;
	event.track_uuid = lane_of(k, time_ns, time_ns);
	put(k, &event, time_ns, name, n);
}

/* callstack: 0: none. */
static void put_slice(struct kind *k, uint64_t start_ns, uint64_t end_ns, const char *name,
		      uint32_t callstack, struct notes *n)
{
	Perfetto__TrackEvent begin = PERFETTO__TRACK_EVENT__INIT, end = PERFETTO__TRACK_EVENT__INIT;

	begin.type = PERFETTO__TRACK_EVENT__TYPE__TYPE_SLICE_BEGIN;
	end.type = PERFETTO__TRACK_EVENT__TYPE__TYPE_SLICE_END;
	begin.track_uuid = end.track_uuid = lane_of(k, start_ns, end_ns);
	begin.callstack_iid = callstack;
	put(k, &begin, start_ns, name, n);
	perfetto_put_event(k->p, end_ns, &end);
}

static void put_purge(struct kind *k, size_t i)
{
	const struct snapshot *s = k->p->s;
	const struct purge_finding *purge = s->purges[i];
	char name[EVENT_NAME_MAX], argument[VERDICT_ARGUMENT_MAX];
	const char *asked = verdict_purge_argument(purge, argument);
	struct notes n = {0};
	uint32_t callstack = 0;

	if (purge->stack && perfetto_stack(k->p, purge->stack, &callstack))
		callstack = 0;
	note_uint(&n, "returned", purge->returned);
	note_uint(&n, "predicted", purge->predicted);
	note_bool(&n, "effective", purge->effective);
	note_bool(&n, "misdirected", purge->misdirected);
	note_text(&n, "allocator", purge->allocator);
	if (purge->has_result)
		note_int(&n, "result", (int64_t)purge->result);
	if (purge->has_cgroup)
		note_int(&n, "cgroup_drop", purge->cgroup_drop);
	if (s->purge_pids)
		note_int(&n, "pid", s->purge_pids[i]);
	note_stack(&n, purge->stack);
	snprintf(name, sizeof(name), "%s%s%s%s", purge->function, asked ? " " : "", asked ? asked : "",
		 purge->misdirected ? " (misdirected)"
		 : purge->effective ? ""
				    : " (ineffective)");
	put_slice(k, purge->time_ns, purge->time_ns + purge->duration_ns, name, callstack, &n);
}

static void put_window(struct kind *k, size_t i)
{
	const struct snapshot *s = k->p->s;
	const struct window_finding *w = &s->windows[i];
	struct notes n = {0};

	note_uint(&n, "peak_retained", w->peak_retained);
	note_uint(&n, "peak_purgeable", w->peak_purgeable);
	note_double(&n, "byte_seconds", w->byte_seconds);
	note_uint(&n, "ineffective_purges", w->ineffective_purges);
	note_text(&n, "end",
		  w->closed_by_purge    ? "closed by a purge"
		  : w->closed_by_itself ? "the allocator returned it by itself"
		  : w->end_ns           ? "closed"
					: "still open");
	if (s->window_pids)
		note_int(&n, "pid", s->window_pids[i]);
	put_slice(k, w->start_ns, w->end_ns ? w->end_ns : s->time_ns, "purge missing", 0, &n);
}

static void put_gap(struct kind *k, size_t i)
{
	const struct collector_gap *gap = &k->p->s->gaps[i];
	struct notes n = {0};

	note_uint(&n, "phases", gap->phases);
	note_uint(&n, "purges", gap->purges);
	note_uint(&n, "live_first", gap->live_first);
	note_uint(&n, "live_last", gap->live_last);
	note_bool(&n, "flagged", gap->flagged);
	if (gap->by_collection)
		note_uint(&n, "collected", gap->collected);
	put_slice(k, gap->start_ns, gap->end_ns ? gap->end_ns : k->p->s->time_ns, "no full collection", 0,
		  &n);
}

static void put_churn(struct kind *k, size_t i)
{
	const struct churn_finding *churn = k->p->s->churn[i];
	struct notes n = {0};

	note_uint(&n, "opens", churn->opens);
	note_uint(&n, "repeats", churn->repeats);
	note_uint(&n, "new_mappings", churn->new_mappings);
	note_uint(&n, "failures", churn->failures);
	note_uint(&n, "closes", churn->closes);
	note_uint(&n, "ns", churn->ns);
	note_int(&n, "maps_grown", churn->maps_grown);
	note_int(&n, "heap_grown", churn->heap_grown);
	note_bool(&n, "flagged", churn->flagged);
	note_stack(&n, churn->stack);
	put_instant(k, churn->changed_ns, churn->library, &n);
}

static void put_mark(struct kind *k, size_t i)
{
	const struct mark_finding *mark = k->p->s->marks[i];
	struct notes n = {0};

	note_text(&n, "kind", printable(n.texts[n.text_cnt++], SITE_TEXT_MAX, mark->kind));
	note_uint(&n, "rss", mark->rss);
	note_uint(&n, "live", mark->live);
	note_uint(&n, "live_heap", mark->live_heap);
	note_uint(&n, "retained", mark->retained);
	note_uint(&n, "purgeable", mark->purgeable);
	put_instant(k, mark->time_ns, mark->text && *mark->text ? mark->text : mark->kind, &n);
}

static void put_kind(struct perfetto *p, struct kind kind, size_t cnt,
		     void (*put_one)(struct kind *k, size_t i))
{
	kind.p = p;
	for (size_t i = 0; i < cnt; i++)
		put_one(&kind, i);
}

void perfetto_put_events(struct perfetto *p)
{
	const struct snapshot *s = p->s;

	put_kind(p, (struct kind){.name = "purges", .category = "purge", .rank = RANK_PURGES}, s->purge_cnt,
		 put_purge);
	put_kind(p, (struct kind){.name = "purge missing", .category = "window", .rank = RANK_WINDOWS},
		 s->window_cnt, put_window);
	put_kind(p, (struct kind){.name = "full collection missing", .category = "gc", .rank = RANK_GAPS},
		 s->gap_cnt, put_gap);
	put_kind(p, (struct kind){.name = "dlopen", .category = "dlopen", .rank = RANK_DLOPEN}, s->churn_cnt,
		 put_churn);
	put_kind(p, (struct kind){.name = "marks", .category = "mark", .rank = RANK_MARKS}, s->mark_cnt,
		 put_mark);
}
