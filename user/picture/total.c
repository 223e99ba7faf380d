#include "picture/total.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "picture/total_book.h"

struct total *total_new(void)
{
	struct total *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->sites = merged_sites_new();
	t->object_sites = merged_sites_new();
	if (t->sites && t->object_sites)
		return t;
	total_free(t);
	return NULL;
}

void total_free(struct total *t)
{
	if (!t)
		return;
	total_forget_findings(t);
	merged_sites_free(t->sites);
	merged_sites_free(t->object_sites);
	free(t);
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
		total_keep_collector(t, ended->collector);
	t->kept_purges += ended->purges_total;
	t->kept_marks += ended->marks_total;
	add_findings(&t->kept_totals, &ended->totals);
	if (ended->allocs)
		total_keep_allocs(t, ended->allocs);
}

static void add_allocator(struct heap_allocator *sum, const struct heap_allocator *part)
{
	if (strcmp(sum->version, part->version))
		sum->version[0] = '\0';
	sum->serving |= part->serving;
	heap_ranges_add(&sum->ranges, &part->ranges);
	total_add_figure(&sum->held, part->held);
	total_add_figure(&sum->resident, part->resident);
	total_add_figure(&sum->live_heap, part->live_heap);
	total_add_figure(&sum->retained, part->retained);
	total_add_figure(&sum->purgeable, part->purgeable);
	total_add_figure(&sum->pinned, part->pinned);
}

static struct heap_allocator *allocator_of(struct heap_state *heap, const struct heap_allocator *like)
{
	struct heap_allocator *a;

	for (size_t i = 0; i < heap->allocator_cnt; i++)
		if (heap->allocators[i].kind == like->kind)
			return &heap->allocators[i];
	if (heap->allocator_cnt == TOTAL_KINDS_MAX)
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
	total_add_figure(&sum->held, part->held);
	total_add_figure(&sum->resident, part->resident);
	total_add_figure(&sum->live_heap, part->live_heap);
	total_add_figure(&sum->retained, part->retained);
	total_add_figure(&sum->purgeable, part->purgeable);
	total_add_figure(&sum->pinned, part->pinned);
}

/* Each line once, of whichever processes. */
static void sum_missing(struct total *t, const struct snapshot *s, struct snapshot *sum)
{
	for (size_t i = 0; i < s->missing_cnt && sum->missing_cnt < TOTAL_MISSING_MAX; i++) {
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
	total_forget_findings(t);
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
		total_add_figure(&sum->rss, v[i]->rss);
		total_add_figure(&sum->shmem, v[i]->shmem);
		total_add_figure(&sum->lazy_free, v[i]->lazy_free);
		total_add_figure(&sum->swap, v[i]->swap);
		add_heap(&t->heap, v[i]->heap);
	}
	sum->own_returns = t->own_returns.v;
	sum->own_return_cnt = t->own_returns.cnt;
	/* The losses are the tracer's, of all at once. */
	if (cnt)
		memcpy(sum->lost, v[0]->lost, sizeof(sum->lost));
	return total_allocs(t, v, cnt, with_ended, sum) ?: total_findings(t, v, cnt, sum);
}
