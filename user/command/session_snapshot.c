/* Snapshots of a session: what belongs to which interval. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "command/session_state.h"

/* Rows with activity since the last report; all of them in the final one. */
static void fill_churn(struct session *s, struct snapshot *snap)
{
	const struct churn_finding *const *all;
	size_t cnt = churn_log_view(s->churn, &all);

	free(s->churn_rows);
	s->churn_rows = calloc(cnt ? cnt : 1, sizeof(*s->churn_rows));
	for (size_t i = 0; s->churn_rows && i < cnt; i++) {
		snap->totals.opens += all[i]->opens;
		snap->totals.repeats += all[i]->repeats;
		if (snap->final || all[i]->changed_ns >= s->reported_ns)
			s->churn_rows[snap->churn_cnt++] = all[i];
	}
	snap->churn = s->churn_rows;
}

static void fill_windows(struct session *s, struct snapshot *snap)
{
	const struct window_finding *all;
	size_t cnt = window_detector_view(s->windows, snap->time_ns, &all);

	snap->totals.windows = cnt + window_detector_forgotten(s->windows);
	free(s->window_rows);
	s->window_rows = calloc(cnt ? cnt : 1, sizeof(*s->window_rows));
	for (size_t i = 0; s->window_rows && i < cnt; i++)
		if (snap->final || !all[i].end_ns || all[i].end_ns >= s->reported_ns)
			s->window_rows[snap->window_cnt++] = all[i];
	snap->windows = s->window_rows;
}

static void fill_collector(struct session *s, struct snapshot *snap)
{
	const struct collector_view *view = collector_look(s->collector);

	free(s->gap_rows);
	s->gap_rows = calloc(view->gap_cnt ? view->gap_cnt : 1, sizeof(*s->gap_rows));
	for (size_t i = 0; s->gap_rows && i < view->gap_cnt; i++)
		if (snap->final || !view->gaps[i].end_ns || view->gaps[i].end_ns >= s->reported_ns)
			s->gap_rows[snap->gap_cnt++] = view->gaps[i];
	snap->gaps = s->gap_rows;
	snap->collector = view;
}

static void fill_purges(struct session *s, struct snapshot *snap)
{
	size_t kept = purge_log_view(s->purges, &snap->purges);
	uint64_t total = purge_log_total(s->purges), fresh = total - s->purges_reported;

	snap->purges_total = total;
	snap->totals.purges = purge_log_totals(s->purges);
	snap->purge_cnt = kept;
	if (!snap->final && fresh < kept) {
		snap->purges += kept - fresh;
		snap->purge_cnt = fresh;
	}
	s->purges_reported = total;
}

/* What the user has named is not there (yet); NULL: it is, or nobody knows. */
static const char *say_what_lacks(struct session *s)
{
	const struct allocator *const *kind = s->more;

	if (!kind || !*kind || !s->now.heap.taken_ns)
		return NULL;
	for (; *kind; kind++)
		if (heap_state_find(&s->now.heap, *kind))
			return NULL;
	snprintf(s->unfound, sizeof(s->unfound),
		 "no object of this process holds the allocator that was named (%s)", kind[-1]->name);
	return s->unfound;
}

static void fill_missing(struct session *s, struct snapshot *snap)
{
	const char *unfound = say_what_lacks(s), *unmarked = marking_missing(s->marking);

	if (s->tracer)
		snap->missing_cnt = tracer_missing(s->tracer, s->process->pid, s->missing, MISSING_MAX - 4);
	else
		s->missing[snap->missing_cnt++] = "no probes: purges, dlopen and returned bytes are not seen";
	if (s->now.status && process_alive(s->process)) {
		snprintf(s->unread, sizeof(s->unread), "heap not read: %s", s->now.error.text);
		s->missing[snap->missing_cnt++] = s->unread;
	}
	if (s->now.heap.note[0])
		s->missing[snap->missing_cnt++] = s->now.heap.note;
	if (unfound)
		s->missing[snap->missing_cnt++] = unfound;
	if (unmarked)
		s->missing[snap->missing_cnt++] = unmarked;
	snap->missing = s->missing;
}

static void fill_samples(struct session *s, struct snapshot *snap)
{
	struct readings old = s->reported;

	s->reported = s->readings;
	s->readings = old;
	s->readings.cnt = 0;
	snap->samples = s->reported.v;
	snap->sample_cnt = s->reported.cnt;
}

void session_look(struct session *s)
{
	struct process_usage usage;

	if (!process_usage(s->process, false, &usage) && usage.rss)
		s->usage = usage;
}

/* What costs nothing to know. */
static struct snapshot glimpse(const struct session *s, uint64_t now)
{
	return (struct snapshot){
		.time_ns = now,
		.started_ns = s->started_ns,
		.pid = s->process->pid,
		.command = s->process->comm,
		.heap = &s->now.heap,
		.rss = s->usage.rss,
	};
}

bool session_news(struct session *s, bool over, struct session_news *news)
{
	uint64_t now = clock_monotonic_ns();

	news->what = window_detector_news(s->windows, now, over, &news->window);
	if (news->what == WINDOW_NO_NEWS)
		return false;
	/* The detector ends it by our clock now, nothing else does. */
	news->over = over && news->what == WINDOW_CLOSED && news->window.end_ns == now;
	news->freed_by = s->allocs && news->window.freed_cnt
				 ? allocs_stack(s->allocs, news->window.freed[0].site)
				 : NULL;
	news->figures = glimpse(s, now);
	return true;
}

void session_snapshot(struct session *s, bool final, const char *ended, struct snapshot *snap)
{
	*snap = (struct snapshot){
		.time_ns = clock_monotonic_ns(),
		.started_ns = s->started_ns,
		.pid = s->process->pid,
		.command = s->process->comm,
		.final = final,
		.killed = s->killed,
		.ended = ended,
		.heap = &s->now.heap,
		.returned = s->returned,
		.own_returns = s->own_returns.v,
		.own_return_cnt = s->own_returns.cnt,
		.lazy_free = s->now.heap.taken_ns ? s->now.usage.lazy_free : UNKNOWN,
	};
	snap->interval_ns = snap->time_ns - s->reported_ns;
	session_look(s);
	snap->rss = s->usage.rss;
	snap->shmem = s->usage.shmem;
	snap->swap = s->usage.swap;
	fill_purges(s, snap);
	marking_fill(s->marking, snap);
	fill_windows(s, snap);
	fill_churn(s, snap);
	if (s->tracer && tracer_sees_collections(s->tracer, s->process->pid))
		fill_collector(s, snap);
	fill_missing(s, snap);
	if (s->tracer)
		tracer_losses(s->tracer, snap->lost);
	if (s->allocs)
		snap->allocs = allocs_view(s->allocs, snap->heap);
	snap->names = s->names;
	fill_samples(s, snap);
	s->reported_ns = snap->time_ns;
}
