#include "report/mark_kinds.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"

const char *const mark_figure_names[MARK_FIGURE_CNT] = {
	[MARK_RSS] = "rss",
	[MARK_LIVE] = "live",
	[MARK_LIVE_HEAP] = "live_heap",
	[MARK_RETAINED] = "retained",
};

/* One mark or purge, in the order in which kinds are made of them. */
struct item {
	const struct mark_finding *finding;
	size_t kind;
};

struct gathering {
	const struct snapshot *s;
	struct item *items;
	size_t item_cnt;
	struct mark_kind *kinds;
	size_t cnt, cap;
	uint64_t *values; /* room for one series */
};

static struct mark_kind *find_kind(const struct gathering *g, const char *kind, bool is_purge, pid_t pid)
{
	for (size_t i = 0; i < g->cnt; i++)
		if (g->kinds[i].is_purge == is_purge && g->kinds[i].pid == pid &&
		    !strcmp(g->kinds[i].kind, kind))
			return &g->kinds[i];
	return NULL;
}

static struct mark_kind *kind_of(struct gathering *g, const char *kind, bool is_purge, pid_t pid)
{
	struct mark_kind *found = find_kind(g, kind, is_purge, pid);

	if (found)
		return found;
	if (g->cnt == g->cap) {
		size_t cap = g->cap ? 2 * g->cap : 16;
		struct mark_kind *kinds = realloc(g->kinds, cap * sizeof(*kinds));

		if (!kinds)
			return NULL;
		g->kinds = kinds;
		g->cap = cap;
	}
	found = &g->kinds[g->cnt++];
	*found = (struct mark_kind){.kind = kind, .is_purge = is_purge, .pid = pid};
	return found;
}

static int add_item(struct gathering *g, const struct mark_finding *f, bool is_purge, pid_t pid)
{
	struct mark_kind *kind = kind_of(g, f->kind, is_purge, pid);

	if (!kind)
		return -ENOMEM;
	kind->cnt++;
	g->items[g->item_cnt++] = (struct item){f, (size_t)(kind - g->kinds)};
	return 0;
}

static int gather_items(struct gathering *g)
{
	const struct snapshot *s = g->s;
	int ret = 0;

	g->items = calloc(s->mark_cnt + s->purge_cnt + 1, sizeof(*g->items));
	g->values = calloc(s->mark_cnt + s->purge_cnt + 1, sizeof(*g->values));
	if (!g->items || !g->values)
		return -ENOMEM;
	for (size_t i = 0; !ret && i < s->mark_cnt; i++)
		ret = add_item(g, s->marks[i], false, s->mark_pids ? s->mark_pids[i] : 0);
	for (size_t i = 0; !ret && i < s->purge_cnt; i++)
		if (s->purges[i]->after.kind)
			ret = add_item(g, &s->purges[i]->after, true, s->purge_pids ? s->purge_pids[i] : 0);
	return ret;
}

/* What the processes' own tallies say: also of functions that were never called. */
static int take_tallies(struct gathering *g, const struct snapshot *s, pid_t pid)
{
	for (size_t i = 0; i < s->mark_tally_cnt; i++) {
		const struct mark_tally *tally = &s->mark_tallies[i];
		struct mark_kind *kind =
			pid ? find_kind(g, tally->kind, false, pid) : kind_of(g, tally->kind, false, pid);

		if (!kind && !pid)
			return -ENOMEM;
		if (!kind)
			continue;
		kind->cnt = tally->cnt;
		kind->skipped = tally->skipped;
	}
	return 0;
}

static int take_all_tallies(struct gathering *g)
{
	const struct process_rows *rows = g->s->processes;
	int ret = 0;

	if (!rows)
		return take_tallies(g, g->s, 0);
	for (size_t i = 0; !ret && i < rows->cnt; i++)
		ret = take_tallies(g, rows->v[i], rows->v[i]->pid);
	return ret;
}

static uint64_t figure_of(const struct mark_finding *f, enum mark_figure figure)
{
	switch (figure) {
	case MARK_RSS:
		return f->rss;
	case MARK_LIVE:
		return f->live;
	case MARK_LIVE_HEAP:
		return f->live_heap;
	default:
		return f->retained;
	}
}

static void make_series(const struct gathering *g, size_t kind, enum mark_figure figure)
{
	size_t cnt = 0;

	for (size_t i = 0; i < g->item_cnt; i++) {
		uint64_t value = figure_of(g->items[i].finding, figure);

		if (g->items[i].kind == kind && value != UNKNOWN)
			g->values[cnt++] = value;
	}
	mark_series_make(g->values, cnt, &g->kinds[kind].series[figure]);
}

const struct mark_series *mark_kind_live(const struct mark_kind *kind)
{
	return &kind->series[kind->series[MARK_LIVE_HEAP].cnt ? MARK_LIVE_HEAP : MARK_LIVE];
}

/* What there is one of from mark to mark. */
static const char *noun_of(const struct mark_kind *kind)
{
	return kind->is_purge ? "purge" : !strcmp(kind->kind, "mark") ? "unit" : "mark";
}

/* "grows 40.0 MiB a unit"; behind others the unit is known, and of calls that were left out there is none. */
static void put_change(char *phrase, size_t size, const struct mark_kind *kind, const struct mark_series *s)
{
	bool first = !kind->words[0];
	char bytes[UNITS_TEXT_MAX];

	if (kind->skipped)
		snprintf(phrase, size, "%s", mark_trend_names[s->trend]);
	else
		snprintf(phrase, size, "%s %s%s%s", mark_trend_names[s->trend],
			 units_bytes(bytes, (uint64_t)(s->slope < 0 ? -s->slope : s->slope)),
			 first ? " a " : "", first ? noun_of(kind) : "");
}

static void add_phrase(struct mark_kind *kind, const char *name, const struct mark_series *s)
{
	char bytes[UNITS_TEXT_MAX], phrase[96];
	size_t used = strlen(kind->words);

	if (s->trend == MARK_GROWS || s->trend == MARK_FALLS)
		put_change(phrase, sizeof(phrase), kind, s);
	else if (s->trend == MARK_PLATEAU)
		snprintf(phrase, sizeof(phrase), "plateau at %s after %zu %ss", units_bytes(bytes, s->level),
			 s->after, noun_of(kind));
	else if (s->trend == MARK_STEADY)
		snprintf(phrase, sizeof(phrase), "stays at %s", units_bytes(bytes, s->level));
	else
		return;
	snprintf(kind->words + used, sizeof(kind->words) - used, "%s%s %s", used ? ", " : "", name, phrase);
}

/* Where RSS stays, the others need a word only if they do not. */
static void add_words(struct mark_kind *kind)
{
	const struct mark_series *rss = &kind->series[MARK_RSS], *live = mark_kind_live(kind),
				 *retained = &kind->series[MARK_RETAINED];
	bool steady = rss->trend == MARK_STEADY;

	add_phrase(kind, "RSS", rss);
	if (!steady || live->trend != MARK_STEADY)
		add_phrase(kind, "live", live);
	if (!steady || retained->trend != MARK_STEADY)
		add_phrase(kind, "retained", retained);
}

int mark_kinds_make(const struct snapshot *s, struct mark_kind **kinds, size_t *cnt)
{
	struct gathering g = {.s = s};
	int ret = gather_items(&g) ?: take_all_tallies(&g);

	for (size_t i = 0; !ret && i < g.cnt; i++) {
		for (enum mark_figure figure = 0; figure < MARK_FIGURE_CNT; figure++)
			make_series(&g, i, figure);
		add_words(&g.kinds[i]);
	}
	free(g.items);
	free(g.values);
	*kinds = ret ? NULL : g.kinds;
	*cnt = ret ? 0 : g.cnt;
	if (ret)
		free(g.kinds);
	return ret;
}
