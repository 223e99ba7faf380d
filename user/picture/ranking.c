#include "picture/ranking.h"

#include <errno.h>
#include <stdlib.h>

static uint64_t live(const struct site_view *v)
{
	return v->figures->live.bytes;
}

static uint64_t allocated(const struct site_view *v)
{
	return v->figures->allocated.bytes;
}

static uint64_t freed(const struct site_view *v)
{
	return v->figures->freed_here.bytes;
}

static uint64_t count(const struct site_view *v)
{
	return v->figures->allocated.cnt;
}

static uint64_t pinned(const struct site_view *v)
{
	return v->survey ? v->survey->pinned : 0;
}

static uint64_t peak(const struct site_view *v)
{
	return v->peak.bytes;
}

static uint64_t temporary(const struct site_view *v)
{
	return v->figures->temporary.bytes;
}

uint64_t (*const ranking_weigh[WEIGHT_CNT])(const struct site_view *view) = {
	[WEIGHT_LIVE] = live,           [WEIGHT_ALLOCATED] = allocated, [WEIGHT_FREED] = freed,
	[WEIGHT_COUNT] = count,         [WEIGHT_PINNED] = pinned,       [WEIGHT_PEAK] = peak,
	[WEIGHT_TEMPORARY] = temporary,
};

/* Equals stay in the order of their numbers, so that two reports of one state are the same. */
static int by_weight(const void *x, const void *y)
{
	const struct ranked_site *a = x, *b = y;

	if (a->weight != b->weight)
		return a->weight < b->weight ? 1 : -1;
	return a->view->number < b->view->number ? -1 : 1;
}

int ranking_make(struct ranking *r, const struct allocation_view *a,
		 uint64_t (*weigh)(const struct site_view *view))
{
	*r = (struct ranking){.sites = calloc(a->site_cnt ? a->site_cnt : 1, sizeof(*r->sites))};
	if (!r->sites)
		return -ENOMEM;
	for (size_t i = 0; i < a->site_cnt; i++) {
		uint64_t weight = weigh(&a->sites[i]);

		if (!weight)
			continue;
		r->sites[r->cnt++] = (struct ranked_site){&a->sites[i], weight};
		r->total += weight;
	}
	qsort(r->sites, r->cnt, sizeof(*r->sites), by_weight);
	return 0;
}

void ranking_free(struct ranking *r)
{
	free(r->sites);
	*r = (struct ranking){0};
}

static int by_live(const void *x, const void *y)
{
	const struct site_view *a = x, *b = y;
	uint64_t left = a->figures->live.bytes, right = b->figures->live.bytes;

	if (left != right)
		return left < right ? 1 : -1;
	left = a->figures->allocated.bytes + a->figures->freed_here.bytes;
	right = b->figures->allocated.bytes + b->figures->freed_here.bytes;
	if (left != right)
		return left < right ? 1 : -1;
	return a->number < b->number ? -1 : 1;
}

void ranking_arrange(struct site_view *views, size_t cnt, const struct site_view **by_number)
{
	qsort(views, cnt, sizeof(*views), by_live);
	for (size_t i = 0; i < cnt; i++)
		by_number[views[i].number] = &views[i];
}
