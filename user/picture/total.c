#include "picture/total.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "picture/budget_sum.h"
#include "picture/merged_sites.h"

#define KINDS_MAX 16
#define MISSING_MAX 16
#define CHURN_MERGED 1000

struct total {
	struct merged_sites *sites;
	struct returned kept_returned;
	struct own_returns kept_own_returns;
	struct collector_view kept_collector;
	uint64_t kept_purges, kept_marks;
	struct finding_totals kept_totals;
	struct ledger_totals kept;
	struct budget_sum kept_budget;
	bool kept_allocs; /* there was something to keep */

	/* What the last sum points to. */
	struct heap_state heap;
	struct heap_allocator allocators[KINDS_MAX];
	struct allocation_view allocs;
	struct budget_sum budget;
	struct survey_result survey;
	const struct purge_finding **purges;
	pid_t *purge_pids;
	const struct mark_finding **marks;
	pid_t *mark_pids;
	struct window_finding *windows;
	pid_t *window_pids;
	struct churn_finding *churn_rows;
	const struct churn_finding **churn;
	struct own_returns own_returns;
	struct collector_view collector;
	struct collector_gap *gaps;
	const char *missing[MISSING_MAX];
};

struct total *total_new(void)
{
	struct total *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->sites = merged_sites_new();
	if (t->sites)
		return t;
	free(t);
	return NULL;
}

static void forget_sum(struct total *t)
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

void total_free(struct total *t)
{
	if (!t)
		return;
	forget_sum(t);
	merged_sites_free(t->sites);
	free(t);
}

static void add_figure(uint64_t *sum, uint64_t part)
{
	*sum = *sum == UNKNOWN || part == UNKNOWN ? UNKNOWN : *sum + part;
}

static void add_returned(struct returned *sum, const struct returned *part)
{
	sum->purge += part->purge;
	sum->trim += part->trim;
	sum->munmap += part->munmap;
	sum->madvise += part->madvise;
	sum->taken_brk += part->taken_brk;
	sum->taken_mmap += part->taken_mmap;
}

static void add_own_return(struct own_returns *sum, const struct own_return *part)
{
	size_t i = 0;

	while (i < sum->cnt && sum->v[i].kind != part->kind)
		i++;
	if (i == OWN_RETURNS_MAX)
		return;
	if (i == sum->cnt)
		sum->v[sum->cnt++] = (struct own_return){.kind = part->kind};
	sum->v[i].bytes += part->bytes;
	sum->v[i].lazy += part->lazy;
	sum->v[i].calls += part->calls;
	sum->v[i].purges += part->purges;
}

static void add_own_returns(struct own_returns *sum, const struct own_return *v, size_t cnt)
{
	for (size_t i = 0; i < cnt; i++)
		add_own_return(sum, &v[i]);
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

/* Peaks are not of one moment: there is none of the sum. */
static void add_totals(struct ledger_totals *sum, const struct ledger_totals *part)
{
	site_count_add(&sum->allocated, part->allocated);
	site_count_add(&sum->freed, part->freed);
	site_count_add(&sum->freed_before, part->freed_before);
	site_count_add(&sum->live, part->live);
	site_count_add(&sum->temporary, part->temporary);
	add_figure(&sum->live_rounded, part->live_rounded);
	sum->failed += part->failed;
	site_count_add(&sum->ghosts, part->ghosts);
	site_count_add(&sum->untracked, part->untracked);
	sum->events += part->events;
}

static void add_findings(struct finding_totals *sum, const struct finding_totals *part)
{
	sum->purges.effective += part->purges.effective;
	sum->purges.misdirected += part->purges.misdirected;
	sum->purges.ns += part->purges.ns;
	sum->windows += part->windows;
	sum->opens += part->opens;
	sum->repeats += part->repeats;
}

void total_keep(struct total *t, const struct snapshot *ended)
{
	add_returned(&t->kept_returned, &ended->returned);
	add_own_returns(&t->kept_own_returns, ended->own_returns, ended->own_return_cnt);
	if (ended->collector)
		add_collector(&t->kept_collector, ended->collector);
	t->kept_purges += ended->purges_total;
	t->kept_marks += ended->marks_total;
	add_findings(&t->kept_totals, &ended->totals);
	if (!ended->allocs)
		return;
	t->kept_allocs = true;
	add_totals(&t->kept, &ended->allocs->totals);
	budget_sum_keep(&t->kept_budget, ended->allocs);
	merged_sites_keep(t->sites, ended->allocs);
}

static void add_allocator(struct heap_allocator *sum, const struct heap_allocator *part)
{
	if (strcmp(sum->version, part->version))
		sum->version[0] = '\0';
	sum->serving |= part->serving;
	heap_ranges_add(&sum->ranges, &part->ranges);
	add_figure(&sum->held, part->held);
	add_figure(&sum->resident, part->resident);
	add_figure(&sum->live_heap, part->live_heap);
	add_figure(&sum->retained, part->retained);
	add_figure(&sum->purgeable, part->purgeable);
	add_figure(&sum->pinned, part->pinned);
}

static struct heap_allocator *allocator_of(struct heap_state *heap, const struct heap_allocator *like)
{
	struct heap_allocator *a;

	for (size_t i = 0; i < heap->allocator_cnt; i++)
		if (heap->allocators[i].kind == like->kind)
			return &heap->allocators[i];
	if (heap->allocator_cnt == KINDS_MAX)
		return NULL;
	a = &heap->allocators[heap->allocator_cnt++];
	*a = (struct heap_allocator){.kind = like->kind};
	memcpy(a->version, like->version, sizeof(a->version));
	return a;
}

/* The oldest of the readings is how old the sum is. */
static void add_heap(struct heap_state *sum, const struct heap_state *part)
{
	if (!part->taken_ns)
		return;
	if (!sum->taken_ns || part->taken_ns < sum->taken_ns)
		sum->taken_ns = part->taken_ns;
	sum->cost_ns += part->cost_ns;
	for (size_t i = 0; i < part->allocator_cnt; i++) {
		bool unused = part->allocators[i].kind->layer && !heap_is_layer(&part->allocators[i]);
		struct heap_allocator *a = unused ? NULL : allocator_of(sum, &part->allocators[i]);

		if (a)
			add_allocator(a, &part->allocators[i]);
	}
	add_figure(&sum->held, part->held);
	add_figure(&sum->resident, part->resident);
	add_figure(&sum->live_heap, part->live_heap);
	add_figure(&sum->retained, part->retained);
	add_figure(&sum->purgeable, part->purgeable);
	add_figure(&sum->pinned, part->pinned);
}

static void add_survey(struct survey_result *sum, const struct survey_result *part)
{
	if (!sum->walked_ns || part->walked_ns < sum->walked_ns)
		sum->walked_ns = part->walked_ns;
	sum->pinned += part->pinned;
	sum->rest.pinned += part->rest.pinned;
	sum->ghosts += part->ghosts;
	sum->cost_ns += part->cost_ns;
	for (int i = 0; i < HEAP_CLASS_CNT; i++)
		heap_blocks_add(&sum->rest_class[i], &part->rest_class[i]);
}

static void add_stacks(struct stacks_counts *sum, const struct stacks_counts *part)
{
	sum->known += part->known;
	sum->again += part->again;
	sum->refused += part->refused;
}

static void add_allocs(struct total *t, const struct allocation_view *part)
{
	struct allocation_view *sum = &t->allocs;

	add_totals(&sum->totals, &part->totals);
	add_totals(&sum->before, &part->before);
	add_figure(&sum->unattributed, part->unattributed);
	if (part->survey) {
		add_survey(&t->survey, part->survey);
		sum->survey = &t->survey;
	}
	sum->older_ns = part->older_ns;
	sum->top = part->top;
	sum->sample_bytes = part->sample_bytes;
	sum->free_sample_bytes = part->free_sample_bytes;
	add_stacks(&sum->stacks, &part->stacks);
	for (int i = 0; i < STACK_CUT_CNT; i++)
		site_count_add(&sum->truncated[i], part->truncated[i]);
	budget_sum_add(&t->budget, part);
	merged_sites_add(t->sites, part);
}

static int sum_allocs(struct total *t, const struct snapshot *const *v, size_t cnt, bool with_ended,
		      struct snapshot *sum)
{
	bool any = t->kept_allocs;
	int rc;

	t->survey = (struct survey_result){.walked_ns = 0};
	t->allocs = (struct allocation_view){.totals = t->kept, .before = t->kept};
	if (!with_ended)
		t->allocs.totals.live = t->allocs.before.live = (struct site_count){0};
	budget_sum_begin(&t->budget, &t->kept_budget, with_ended);
	merged_sites_begin(t->sites, with_ended);
	for (size_t i = 0; i < cnt; i++) {
		any |= v[i]->allocs != NULL;
		if (v[i]->allocs)
			add_allocs(t, v[i]->allocs);
	}
	sum->allocs = any ? &t->allocs : NULL;
	rc = any ? merged_sites_view(t->sites, &t->allocs) : 0;
	if (any && !rc)
		budget_sum_view(&t->budget, &t->allocs);
	return rc;
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

/* Each line once, of whichever processes. */
static void sum_missing(struct total *t, const struct snapshot *s, struct snapshot *sum)
{
	for (size_t i = 0; i < s->missing_cnt && sum->missing_cnt < MISSING_MAX; i++) {
		size_t k = 0;

		while (k < sum->missing_cnt && strcmp(t->missing[k], s->missing[i]))
			k++;
		if (k == sum->missing_cnt)
			t->missing[sum->missing_cnt++] = s->missing[i];
	}
	sum->missing = t->missing;
}

int total_sum(struct total *t, const struct snapshot *const *v, size_t cnt, bool with_ended,
	      struct snapshot *sum)
{
	int ret;

	forget_sum(t);
	t->heap = (struct heap_state){.allocators = t->allocators};
	sum->heap = &t->heap;
	sum->returned = t->kept_returned;
	t->own_returns = t->kept_own_returns;
	sum->purges_total = t->kept_purges;
	sum->marks_total = t->kept_marks;
	sum->totals = t->kept_totals;
	for (size_t i = 0; i < cnt; i++) {
		add_returned(&sum->returned, &v[i]->returned);
		add_own_returns(&t->own_returns, v[i]->own_returns, v[i]->own_return_cnt);
		sum->purges_total += v[i]->purges_total;
		sum->marks_total += v[i]->marks_total;
		add_findings(&sum->totals, &v[i]->totals);
		sum_missing(t, v[i], sum);
		if (v[i]->gone && !with_ended)
			continue;
		add_figure(&sum->rss, v[i]->rss);
		add_figure(&sum->shmem, v[i]->shmem);
		add_figure(&sum->lazy_free, v[i]->lazy_free);
		add_figure(&sum->swap, v[i]->swap);
		add_heap(&t->heap, v[i]->heap);
	}
	sum->own_returns = t->own_returns.v;
	sum->own_return_cnt = t->own_returns.cnt;
	/* The losses are the tracer's, of all at once. */
	if (cnt)
		memcpy(sum->lost, v[0]->lost, sizeof(sum->lost));
	ret = sum_allocs(t, v, cnt, with_ended, sum);
	ret = ret ?: sum_purges(t, v, cnt, sum);
	ret = ret ?: sum_marks(t, v, cnt, sum);
	ret = ret ?: sum_windows(t, v, cnt, sum);
	ret = ret ?: sum_churn(t, v, cnt, sum);
	return ret ?: sum_collectors(t, v, cnt, sum);
}
