#include "record/unfinished.h"

#include <stdlib.h>
#include <string.h>

void unfinished_free(struct unfinished *u)
{
	free(u->purges);
	free(u->windows);
	free(u->churn);
	free(u->marks);
	free(u->gaps);
	free(u->pointers);
	*u = (struct unfinished){0};
}

/* One more at the end of a list whose room is a power of two; NULL: no memory. */
static void *append(struct unfinished *u, void **list, size_t *cnt, size_t size, const void *one)
{
	char *v = *list;

	if ((*cnt & (*cnt - 1)) == 0) {
		v = realloc(v, (*cnt ? 2 * *cnt : 1) * size);
		if (!v) {
			u->failed = true;
			return NULL;
		}
		*list = v;
	}
	return memcpy(v + (*cnt)++ * size, one, size);
}

/* What began at that time already stands at the end: the same window, some way on. */
static void add_window(struct unfinished *u, const struct window_finding *w)
{
	struct window_finding *last = u->window_cnt ? &u->windows[u->window_cnt - 1] : NULL;

	if (last && last->start_ns == w->start_ns)
		*last = *w;
	else
		append(u, (void **)&u->windows, &u->window_cnt, sizeof(*w), w);
}

static void add_gap(struct unfinished *u, const struct collector_gap *g)
{
	struct collector_gap *last = u->gap_cnt ? &u->gaps[u->gap_cnt - 1] : NULL;

	if (last && last->start_ns == g->start_ns)
		*last = *g;
	else
		append(u, (void **)&u->gaps, &u->gap_cnt, sizeof(*g), g);
}

/* A row that changed takes the place of itself as it was. */
static void add_churn(struct unfinished *u, const struct churn_finding *row)
{
	for (size_t i = 0; i < u->churn_cnt; i++)
		if (u->churn[i].stack == row->stack && !strcmp(u->churn[i].library, row->library)) {
			u->churn[i] = *row;
			return;
		}
	append(u, (void **)&u->churn, &u->churn_cnt, sizeof(*row), row);
}

void unfinished_add(struct unfinished *u, const struct snapshot *s)
{
	for (size_t i = 0; i < s->purge_cnt; i++)
		append(u, (void **)&u->purges, &u->purge_cnt, sizeof(*u->purges), s->purges[i]);
	for (size_t i = 0; i < s->window_cnt; i++)
		add_window(u, &s->windows[i]);
	for (size_t i = 0; i < s->churn_cnt; i++)
		add_churn(u, s->churn[i]);
	for (size_t i = 0; i < s->mark_cnt; i++)
		append(u, (void **)&u->marks, &u->mark_cnt, sizeof(*u->marks), s->marks[i]);
	for (size_t i = 0; i < s->gap_cnt; i++)
		add_gap(u, &s->gaps[i]);
}

static int by_opens(const void *x, const void *y)
{
	const struct churn_finding *a = x, *b = y;

	return a->opens < b->opens ? 1 : a->opens > b->opens ? -1 : 0;
}

void unfinished_end(struct unfinished *u, struct snapshot *s, const char *ended)
{
	size_t at = 0;

	s->final = true;
	s->ended = ended;
	free(u->pointers);
	u->pointers = calloc(u->purge_cnt + u->churn_cnt + u->mark_cnt + 1, sizeof(*u->pointers));
	if (!u->pointers)
		return; /* the findings of the last interval stay */
	if (u->churn_cnt)
		qsort(u->churn, u->churn_cnt, sizeof(*u->churn), by_opens);
	s->purges = (const struct purge_finding *const *)u->pointers;
	for (size_t i = 0; i < u->purge_cnt; i++)
		u->pointers[at++] = &u->purges[i];
	s->churn = (const struct churn_finding *const *)(u->pointers + at);
	for (size_t i = 0; i < u->churn_cnt; i++)
		u->pointers[at++] = &u->churn[i];
	s->marks = (const struct mark_finding *const *)(u->pointers + at);
	for (size_t i = 0; i < u->mark_cnt; i++)
		u->pointers[at++] = &u->marks[i];
	s->windows = u->windows;
	s->gaps = u->gaps;
	s->purge_cnt = u->purge_cnt;
	s->churn_cnt = u->churn_cnt;
	s->mark_cnt = u->mark_cnt;
	s->window_cnt = u->window_cnt;
	s->gap_cnt = u->gap_cnt;
}
