#include "detect/collector.h"

#include <stdlib.h>
#include <string.h>

#include "heap/state.h"

struct collector {
	struct collector_view view;
	uint64_t last_purge_ns; /* 0: none yet */

	/* Live's turning points. */
	bool started, falling;
	uint64_t peak;    /* since the last phase ended */
	uint64_t near_ns; /* the last state that was near it, */
	uint64_t purges;  /* and how many there have been since */
	uint64_t lowest;  /* of the phase */

	bool in_gap;   /* gap is open */
	bool in_phase; /* … and the phase under way is one of its */
	struct collector_gap gap;
	struct collector_gap kept[COLLECTOR_GAPS_KEPT + 1]; /* room for a copy of the open one */
	size_t kept_cnt;
};

struct collector *collector_new(void)
{
	return calloc(1, sizeof(struct collector));
}

void collector_free(struct collector *c)
{
	free(c);
}

static void close_gap(struct collector *c, uint64_t time_ns)
{
	c->gap.end_ns = time_ns;
	if (c->gap.phases > 1) {
		if (c->kept_cnt == COLLECTOR_GAPS_KEPT)
			memmove(c->kept, c->kept + 1, --c->kept_cnt * sizeof(c->kept[0]));
		c->kept[c->kept_cnt++] = c->gap;
	}
	c->in_gap = c->in_phase = false;
}

static void full_collection(struct collector *c, uint64_t end_ns, uint64_t collected)
{
	c->view.last_full_ns = end_ns;
	if (!c->in_gap)
		return;
	c->gap.collected = collected;
	c->gap.by_collection = true;
	close_gap(c, end_ns);
}

void collector_run(struct collector *c, const struct event_collection *ev)
{
	int generation = ev->generation < COLLECTOR_FULL ? ev->generation : COLLECTOR_FULL;
	uint64_t collected = ev->collected > 0 ? (uint64_t)ev->collected : 0;
	struct collector_runs *runs;

	if (generation < 0)
		return;
	runs = &c->view.runs[generation];
	runs->cnt++;
	runs->collected += collected;
	runs->ns += ev->duration;
	if (ev->duration > runs->longest_ns)
		runs->longest_ns = ev->duration;
	if (generation == COLLECTOR_FULL)
		full_collection(c, ev->head.time + ev->duration, collected);
}

/* Of the first purge it is not known what came before, unless a collection has been seen. */
void collector_purge(struct collector *c, uint64_t time_ns)
{
	bool collected = c->view.last_full_ns > c->last_purge_ns;

	if (c->last_purge_ns || collected) {
		c->view.purges++;
		c->view.purges_without += !collected;
	}
	c->last_purge_ns = time_ns;
	if (c->in_gap)
		c->gap.purges++;
	c->purges++;
}

static void stands_high(struct collector *c, uint64_t time_ns)
{
	c->near_ns = time_ns;
	if (time_ns >= c->last_purge_ns)
		c->purges = 0;
}

static void begin_phase(struct collector *c, uint64_t live)
{
	c->falling = true;
	c->lowest = live;
	if (c->view.last_full_ns >= c->near_ns)
		return;
	if (!c->in_gap)
		c->gap = (struct collector_gap){.start_ns = c->near_ns, .purges = c->purges};
	c->in_gap = c->in_phase = true;
	c->gap.phases++;
}

/* What the phase under way has come to in the gap. */
static void note_phase(struct collector *c, uint64_t threshold)
{
	c->gap.live_last = c->lowest;
	if (c->gap.phases == 1)
		c->gap.live_first = c->lowest;
	c->gap.flagged =
		c->gap.live_last > c->gap.live_first && c->gap.live_last - c->gap.live_first > threshold;
}

static void rise_or_stay(struct collector *c, const struct collector_sample *s)
{
	if (!c->started || s->live > c->peak)
		c->peak = s->live;
	c->started = true;
	if (c->peak - s->live <= s->threshold / 8)
		stands_high(c, s->time_ns);
	else if (c->peak - s->live > s->threshold)
		begin_phase(c, s->live);
}

static void fall(struct collector *c, const struct collector_sample *s)
{
	if (s->live < c->lowest) {
		c->lowest = s->live;
	} else if (s->live - c->lowest > s->threshold) {
		c->falling = c->in_phase = false;
		c->peak = s->live;
		stands_high(c, s->time_ns);
	}
}

void collector_sample(struct collector *c, const struct collector_sample *s)
{
	if (s->live == UNKNOWN)
		return;
	if (c->falling)
		fall(c, s);
	else
		rise_or_stay(c, s);
	if (c->in_phase)
		note_phase(c, s->threshold);
}

void collector_exec(struct collector *c, uint64_t time_ns)
{
	if (c->in_gap)
		close_gap(c, time_ns);
	c->started = c->falling = false;
	c->view.last_full_ns = c->last_purge_ns = c->purges = 0;
}

const struct collector_view *collector_look(struct collector *c)
{
	c->view.gaps = c->kept;
	c->view.gap_cnt = c->kept_cnt;
	if (c->in_gap && c->gap.phases > 1)
		c->kept[c->view.gap_cnt++] = c->gap;
	return &c->view;
}
