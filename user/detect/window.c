#include "detect/window.h"

#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "heap/state.h"

#define RETAINED_MIN (32 * MIB)
#define IN_FLIGHT_MAX 8 /* more purges at a time are not waited for */

/*
 * The newest WINDOW_KEPT closed windows lie at kept[first…], with room for a copy of the
 * open one behind them; when the array is full they move to its front.
 */
struct window_detector {
	struct window_options options;
	bool open;
	struct window_finding now; /* valid while open */
	uint64_t last_retained;    /* at now.seen_ns */
	uint64_t last_purge_ns;    /* the last effective one */
	uint64_t closer_began_ns;  /* of the sample that ended the newest kept; 0: something else did */
	struct in_flight {
		uint32_t tid;
		uint64_t began_ns;
	} in_flight[IN_FLIGHT_MAX];
	unsigned in_flight_cnt;
	struct window_finding kept[2 * WINDOW_KEPT + 1];
	size_t first, cnt;
	uint64_t forgotten;
	uint64_t told;  /* windows of which everything was told */
	bool told_open; /* and of the next one that it is open */
};

struct window_detector *window_detector_new(const struct window_options *options)
{
	struct window_detector *d = calloc(1, sizeof(*d));

	if (d)
		d->options = *options;
	return d;
}

void window_detector_free(struct window_detector *d)
{
	free(d);
}

uint64_t window_threshold(const struct window_options *options, uint64_t rss)
{
	if (options->retained_min)
		return options->retained_min;
	return rss / 5 > RETAINED_MIN ? rss / 5 : RETAINED_MIN;
}

static bool has_lasted(const struct window_detector *d, const struct window_finding *w, uint64_t until)
{
	return until >= w->start_ns && until - w->start_ns >= d->options.min_ns;
}

static void keep(struct window_detector *d, const struct window_finding *w)
{
	if (d->cnt == WINDOW_KEPT) {
		d->first++;
		d->cnt--;
		d->forgotten++;
	}
	if (d->first == WINDOW_KEPT) {
		memcpy(d->kept, d->kept + d->first, d->cnt * sizeof(d->kept[0]));
		d->first = 0;
	}
	d->kept[d->first + d->cnt++] = *w;
	d->closer_began_ns = 0;
}

/* Integrates retained from the last sample to this moment: the area of a trapezoid. */
static void advance(struct window_detector *d, uint64_t time_ns, uint64_t retained)
{
	double seconds = (double)(time_ns - d->now.seen_ns) / NSEC_PER_SEC;

	d->now.byte_seconds += ((double)d->last_retained + (double)retained) / 2 * seconds;
	d->now.seen_ns = time_ns;
	d->last_retained = retained;
}

static void peak(struct window_finding *w, const struct window_sample *s)
{
	if (s->retained <= w->peak_retained)
		return;
	w->peak_retained = s->retained;
	w->peak_purgeable = s->purgeable;
}

static void open_window(struct window_detector *d, const struct window_sample *s)
{
	d->open = true;
	d->now = (struct window_finding){.start_ns = s->time_ns, .seen_ns = s->time_ns};
	d->last_retained = s->retained;
	peak(&d->now, s);
}

/* One that somebody was told of ends for him too, even if it turns out that it was a bit too short. */
static bool was_told(const struct window_detector *d)
{
	return d->told_open && d->told == d->forgotten + d->cnt;
}

/* Whether it is kept. */
static bool close_window(struct window_detector *d, uint64_t time_ns)
{
	d->open = false;
	d->now.end_ns = time_ns;
	if (!has_lasted(d, &d->now, time_ns) && !was_told(d))
		return false;
	keep(d, &d->now);
	return true;
}

bool window_detector_is_purged_at(const struct window_detector *d, uint64_t time_ns)
{
	for (unsigned i = 0; i < d->in_flight_cnt; i++)
		if (time_ns >= d->in_flight[i].began_ns &&
		    time_ns - d->in_flight[i].began_ns <= WINDOW_PURGE_NS)
			return true;
	return false;
}

void window_detector_sample(struct window_detector *d, const struct window_sample *s)
{
	uint64_t limit = window_threshold(&d->options, s->rss),
		 began = s->began_ns ? s->began_ns : s->time_ns;
	bool ends;

	if (s->retained == UNKNOWN || s->purgeable == UNKNOWN)
		return;
	/* What was read before the last purge ended would open the window again that it closed. */
	if (began <= d->last_purge_ns)
		return;
	if (!d->open) {
		if (s->retained > limit && s->purgeable > limit)
			open_window(d, s);
		return;
	}
	ends = s->retained < limit - limit / 5 || s->purgeable < limit - limit / 5;
	if (s->time_ns < d->now.seen_ns || (ends && window_detector_is_purged_at(d, s->time_ns)))
		return;
	advance(d, s->time_ns, s->retained);
	peak(&d->now, s);
	if (ends && close_window(d, s->time_ns))
		d->closer_began_ns = began;
}

void window_detector_purge_begins(struct window_detector *d, uint32_t tid, uint64_t time_ns)
{
	window_detector_purge_is_over(d, tid); /* the one before was left by longjmp */
	if (d->in_flight_cnt == IN_FLIGHT_MAX)
		memmove(d->in_flight, d->in_flight + 1, --d->in_flight_cnt * sizeof(d->in_flight[0]));
	d->in_flight[d->in_flight_cnt++] = (struct in_flight){tid, time_ns};
}

void window_detector_purge_is_over(struct window_detector *d, uint32_t tid)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < d->in_flight_cnt; i++)
		if (d->in_flight[i].tid != tid)
			d->in_flight[kept++] = d->in_flight[i];
	d->in_flight_cnt = kept;
}

/* The window that was ended by a sample which the return met; NULL: there is none. */
static struct window_finding *ended_meanwhile(struct window_detector *d, const struct window_return *r)
{
	struct window_finding *newest = d->closer_began_ns ? &d->kept[d->first + d->cnt - 1] : NULL;

	if (!newest || r->ended_ns < d->closer_began_ns || r->began_ns > newest->end_ns)
		return NULL;
	d->closer_began_ns = 0;
	return newest;
}

/* What was retained is gone: the window that this has ended, to be marked; NULL: none. */
static struct window_finding *end_by(struct window_detector *d, const struct window_return *r)
{
	uint64_t time_ns = r->ended_ns;

	if (time_ns > d->last_purge_ns)
		d->last_purge_ns = time_ns;
	if (!d->open)
		return ended_meanwhile(d, r);
	if (time_ns < d->now.seen_ns) /* a sample was taken meanwhile */
		time_ns = d->now.seen_ns;
	advance(d, time_ns, d->last_retained);
	return close_window(d, time_ns) ? &d->kept[d->first + d->cnt - 1] : NULL;
}

void window_detector_purge(struct window_detector *d, const struct window_return *purge, bool effective)
{
	struct window_finding *ended;

	if (!effective) {
		if (d->open)
			d->now.ineffective_purges++;
		return;
	}
	ended = end_by(d, purge);
	if (ended)
		ended->closed_by_purge = true;
}

void window_detector_own_return(struct window_detector *d, const struct window_return *own)
{
	struct window_finding *ended = end_by(d, own);

	if (ended)
		ended->closed_by_itself = true;
}

bool window_detector_is_open(const struct window_detector *d)
{
	return d->open;
}

void window_detector_freed(struct window_detector *d, const struct window_freed *freed, unsigned cnt)
{
	if (!d->open)
		return;
	memcpy(d->now.freed, freed, cnt * sizeof(*freed));
	d->now.freed_cnt = cnt;
}

size_t window_detector_view(struct window_detector *d, uint64_t now_ns, const struct window_finding **view)
{
	*view = d->kept + d->first;
	if (!d->open || !has_lasted(d, &d->now, now_ns))
		return d->cnt;
	d->kept[d->first + d->cnt] = d->now;
	return d->cnt + 1;
}

enum window_news window_detector_news(struct window_detector *d, uint64_t now_ns, bool over,
				      struct window_finding *w)
{
	const struct window_finding *view;
	size_t cnt = window_detector_view(d, now_ns, &view);

	if (d->told < d->forgotten) {
		d->told = d->forgotten;
		d->told_open = false;
	}
	if (d->told - d->forgotten >= cnt)
		return WINDOW_NO_NEWS;
	*w = view[d->told - d->forgotten];
	if (!w->end_ns && d->told_open != over)
		return WINDOW_NO_NEWS;
	if (!d->told_open) {
		d->told_open = true;
		return WINDOW_OPENED;
	}
	if (!w->end_ns)
		w->end_ns = now_ns;
	d->told_open = false;
	d->told++;
	return WINDOW_CLOSED;
}

uint64_t window_detector_forgotten(const struct window_detector *d)
{
	return d->forgotten;
}
