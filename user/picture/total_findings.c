#include "picture/total_book.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CHURN_MERGED 1000

void total_forget_findings(struct total *t)
{
	free(t->purges);
	free(t->purge_pids);
	free(t->marks);
	free(t->mark_pids);
	free(t->windows);
	free(t->window_pids);
	free(t->churn);
	free(t->churn_rows);
	free(t->gaps);
	t->gaps = NULL;
	t->purges = NULL;
	t->purge_pids = NULL;
	t->marks = NULL;
	t->mark_pids = NULL;
	t->windows = NULL;
	t->window_pids = NULL;
	t->churn = NULL;
	t->churn_rows = NULL;
}

static void add_collector(struct collector_view *sum, const struct collector_view *part)
{
	for (int i = 0; i < COLLECTOR_GENERATIONS; i++) {
		sum->runs[i].cnt += part->runs[i].cnt;
		sum->runs[i].collected += part->runs[i].collected;
		sum->runs[i].ns += part->runs[i].ns;
		if (part->runs[i].longest_ns > sum->runs[i].longest_ns)
			sum->runs[i].longest_ns = part->runs[i].longest_ns;
	}
	if (part->last_full_ns > sum->last_full_ns)
		sum->last_full_ns = part->last_full_ns;
	sum->purges += part->purges;
	sum->purges_without += part->purges_without;
}

void total_keep_collector(struct total *t, const struct collector_view *ended)
{
	add_collector(&t->kept_collector, ended);
}

/* A finding, and whose it is, to be brought into the order of time. */
struct dated {
	uint64_t time_ns;
	size_t number; /* among all, as they came */
	const void *finding;
	pid_t pid;
};

static int by_time(const void *x, const void *y)
{
	const struct dated *a = x, *b = y;

	if (a->time_ns != b->time_ns)
		return a->time_ns < b->time_ns ? -1 : 1;
	return a->number < b->number ? -1 : a->number > b->number;
}

/* Those of one sort that a snapshot has. */
struct sort {
	size_t (*cnt)(const struct snapshot *s);
	struct dated (*nth)(const struct snapshot *s, size_t i);
};

static size_t purge_cnt(const struct snapshot *s)
{
	return s->purge_cnt;
}

static struct dated nth_purge(const struct snapshot *s, size_t i)
{
	return (struct dated){s->purges[i]->time_ns, 0, s->purges[i], s->pid};
}

static size_t mark_cnt(const struct snapshot *s)
{
	return s->mark_cnt;
}

static struct dated nth_mark(const struct snapshot *s, size_t i)
{
	return (struct dated){s->marks[i]->time_ns, 0, s->marks[i], s->pid};
}

static const struct sort purges = {purge_cnt, nth_purge}, marks = {mark_cnt, nth_mark};

/* By time, *all of them, to be freed; *pids: whose they are. NULL: no memory. */
static struct dated *put_in_order(const struct snapshot *const *v, size_t cnt, const struct sort *sort,
				  size_t *all, pid_t **pids)
{
	struct dated *dated;
	size_t at = 0;

	*all = 0;
	for (size_t i = 0; i < cnt; i++)
		*all += sort->cnt(v[i]);
	dated = calloc(*all + 1, sizeof(*dated));
	*pids = calloc(*all + 1, sizeof(**pids));
	if (!dated || !*pids) {
		free(dated);
		return NULL;
	}
	for (size_t i = 0; i < cnt; i++)
		for (size_t k = 0; k < sort->cnt(v[i]); k++, at++) {
			dated[at] = sort->nth(v[i], k);
			dated[at].number = at;
		}
	qsort(dated, at, sizeof(*dated), by_time);
	for (size_t i = 0; i < at; i++)
		(*pids)[i] = dated[i].pid;
	return dated;
}

static int sum_purges(struct total *t, const struct snapshot *const *v, size_t cnt, struct snapshot *sum)
{
	struct dated *dated = put_in_order(v, cnt, &purges, &sum->purge_cnt, &t->purge_pids);

	t->purges = calloc(sum->purge_cnt + 1, sizeof(*t->purges));
	for (size_t i = 0; dated && t->purges && i < sum->purge_cnt; i++)
		t->purges[i] = dated[i].finding;
	sum->purges = t->purges;
	sum->purge_pids = t->purge_pids;
	free(dated);
	return dated && t->purges ? 0 : -ENOMEM;
}

static int sum_marks(struct total *t, const struct snapshot *const *v, size_t cnt, struct snapshot *sum)
{
	struct dated *dated = put_in_order(v, cnt, &marks, &sum->mark_cnt, &t->mark_pids);

	t->marks = calloc(sum->mark_cnt + 1, sizeof(*t->marks));
	for (size_t i = 0; dated && t->marks && i < sum->mark_cnt; i++)
		t->marks[i] = dated[i].finding;
	sum->marks = t->marks;
	sum->mark_pids = t->mark_pids;
	free(dated);
	return dated && t->marks ? 0 : -ENOMEM;
}

/* Who freed in a window is named by its process's own numbers. */
static struct window_finding translate(const struct total *t, const struct snapshot *s,
				       const struct window_finding *w)
{
	struct window_finding copy = *w;

	copy.freed_cnt = 0;
	for (unsigned i = 0; s->allocs && i < w->freed_cnt; i++) {
		uint32_t site = w->freed[i].site;
		const struct site_view *view =
			site < s->allocs->number_cnt ? s->allocs->by_number[site] : NULL;

		if (view)
			copy.freed[copy.freed_cnt++] =
				(struct window_freed){merged_sites_number(t->sites, view), w->freed[i].bytes};
	}
	return copy;
}

static int sum_windows(struct total *t, const struct snapshot *const *v, size_t cnt, struct snapshot *sum)
{
	size_t all = 0;

	for (size_t i = 0; i < cnt; i++)
		all += v[i]->window_cnt;
	t->windows = calloc(all + 1, sizeof(*t->windows));
	t->window_pids = calloc(all + 1, sizeof(*t->window_pids));
	if (!t->windows || !t->window_pids)
		return -ENOMEM;
	for (size_t i = 0; i < cnt; i++)
		for (size_t k = 0; k < v[i]->window_cnt; k++) {
			t->window_pids[sum->window_cnt] = v[i]->pid;
			t->windows[sum->window_cnt++] = translate(t, v[i], &v[i]->windows[k]);
		}
	sum->windows = t->windows;
	sum->window_pids = t->window_pids;
	return 0;
}

static void add_churn(struct churn_finding *sum, const struct churn_finding *part)
{
	sum->opens += part->opens;
	sum->closes += part->closes;
	sum->repeats += part->repeats;
	sum->new_mappings += part->new_mappings;
	sum->failures += part->failures;
	sum->ns += part->ns;
	sum->maps_grown += part->maps_grown;
	sum->heap_grown += part->heap_grown;
	sum->flagged |= part->flagged;
}

static bool is_same_churn(const struct churn_finding *a, const struct churn_finding *b)
{
	bool has_stack = a->stack && b->stack;

	return !strcmp(a->library, b->library) &&
	       (has_stack ? stack_is_same(a->stack, b->stack) : a->stack == b->stack);
}

static int by_opens(const void *x, const void *y)
{
	const struct churn_finding *a = *(const struct churn_finding *const *)x;
	const struct churn_finding *b = *(const struct churn_finding *const *)y;

	return a->opens < b->opens ? 1 : a->opens > b->opens ? -1 : strcmp(a->library, b->library);
}

/* A library that several open from the same place is one row; looked for among the first of them only. */
static int sum_churn(struct total *t, const struct snapshot *const *v, size_t cnt, struct snapshot *sum)
{
	size_t all = 0;

	for (size_t i = 0; i < cnt; i++)
		all += v[i]->churn_cnt;
	t->churn = calloc(all + 1, sizeof(*t->churn));
	t->churn_rows = calloc(all + 1, sizeof(*t->churn_rows));
	if (!t->churn || !t->churn_rows)
		return -ENOMEM;
	for (size_t i = 0; i < cnt; i++)
		for (size_t k = 0; k < v[i]->churn_cnt; k++) {
			const struct churn_finding *row = v[i]->churn[k];
			size_t at = 0;

			while (at < sum->churn_cnt && at < CHURN_MERGED &&
			       !is_same_churn(&t->churn_rows[at], row))
				at++;
			if (at < sum->churn_cnt && at < CHURN_MERGED)
				add_churn(&t->churn_rows[at], row);
			else
				t->churn_rows[sum->churn_cnt++] = *row;
		}
	for (size_t i = 0; i < sum->churn_cnt; i++)
		t->churn[i] = &t->churn_rows[i];
	qsort(t->churn, sum->churn_cnt, sizeof(*t->churn), by_opens);
	sum->churn = t->churn;
	return 0;
}

static int sum_collectors(struct total *t, const struct snapshot *const *v, size_t cnt, struct snapshot *sum)
{
	size_t all = 0;

	t->collector = t->kept_collector;
	for (size_t i = 0; i < cnt; i++) {
		all += v[i]->gap_cnt;
		if (!v[i]->collector)
			continue;
		add_collector(&t->collector, v[i]->collector);
		sum->collector = &t->collector;
	}
	t->gaps = calloc(all + 1, sizeof(*t->gaps));
	if (!t->gaps)
		return -ENOMEM;
	for (size_t i = 0; i < cnt; i++)
		for (size_t k = 0; k < v[i]->gap_cnt; k++)
			t->gaps[sum->gap_cnt++] = v[i]->gaps[k];
	sum->gaps = t->gaps;
	return 0;
}

int total_findings(struct total *t, const struct snapshot *const *v, size_t cnt, struct snapshot *sum)
{
	int ret = sum_purges(t, v, cnt, sum);

	ret = ret ?: sum_marks(t, v, cnt, sum);
	ret = ret ?: sum_windows(t, v, cnt, sum);
	ret = ret ?: sum_churn(t, v, cnt, sum);
	return ret ?: sum_collectors(t, v, cnt, sum);
}
