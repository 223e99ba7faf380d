#include "picture/weight.h"

#include "picture/ranking.h"
#include "picture/snapshot.h"

const char *const site_weight_names[WEIGHT_CNT] = {
	[WEIGHT_LIVE] = "live",           [WEIGHT_ALLOCATED] = "allocated", [WEIGHT_FREED] = "freed",
	[WEIGHT_COUNT] = "count",         [WEIGHT_PINNED] = "pinned",       [WEIGHT_PEAK] = "peak",
	[WEIGHT_TEMPORARY] = "temporary", [WEIGHT_RETAINED] = "retained",
	[WEIGHT_PYTHON] = "python",
};

/* Of a layer, whose frees no probe sees. */
static uint64_t layer_retained(const struct heap_allocator *a)
{
	return heap_is_layer(a) && a->retained != UNKNOWN ? a->retained : 0;
}

static uint64_t probed_retained(const struct heap_state *heap)
{
	uint64_t retained = heap->retained;

	for (size_t i = 0; i < heap->allocator_cnt; i++) {
		uint64_t layer = layer_retained(&heap->allocators[i]);

		retained -= layer < retained ? layer : retained;
	}
	return retained;
}

static bool retained_is_known(const struct snapshot *s)
{
	return s->heap->taken_ns && s->heap->retained != UNKNOWN;
}

static uint64_t share(const struct weights *w, const struct site_view *site)
{
	uint64_t freed = site->figures->freed_here.bytes;

	return w->freed ? (uint64_t)((unsigned __int128)freed * w->charged / w->freed) : 0;
}

void weights_init(struct weights *w, const struct snapshot *s)
{
	const struct allocation_view *a = s->allocs;
	uint64_t retained, shared = 0;

	*w = (struct weights){.s = s};
	if (!a || !retained_is_known(s))
		return;
	for (size_t i = 0; i < a->site_cnt; i++) {
		uint64_t freed = a->sites[i].figures->freed_here.bytes;

		w->freed += freed;
		if (!w->first || freed > w->first->figures->freed_here.bytes)
			w->first = &a->sites[i];
	}
	retained = probed_retained(s->heap);
	w->charged = retained < w->freed ? retained : w->freed;
	for (size_t i = 0; i < a->site_cnt; i++)
		shared += share(w, &a->sites[i]);
	if (w->first)
		w->first_retained = share(w, w->first) + w->charged - shared;
}

bool weight_is_known(const struct weights *w, enum site_weight weight)
{
	if (!w->s->allocs)
		return false;
	if (weight == WEIGHT_RETAINED)
		return retained_is_known(w->s);
	if (weight == WEIGHT_PYTHON)
		return w->s->allocs->has_objects;
	return weight != WEIGHT_PINNED || w->s->allocs->survey;
}

uint64_t weight_of(const struct weights *w, const struct site_view *site, enum site_weight weight)
{
	if (site->of_objects || weight == WEIGHT_PYTHON)
		return site->of_objects && weight == WEIGHT_PYTHON ? site->figures->live.bytes : 0;
	if (weight == WEIGHT_RETAINED)
		return site == w->first ? w->first_retained : share(w, site);
	return ranking_weigh[weight](site);
}

bool weight_has_blocks(enum site_weight weight)
{
	return weight == WEIGHT_LIVE || weight == WEIGHT_FREED || weight == WEIGHT_PEAK ||
	       weight == WEIGHT_TEMPORARY || weight == WEIGHT_PYTHON;
}

uint64_t weight_blocks(const struct site_view *site, enum site_weight weight)
{
	if (site->of_objects || weight == WEIGHT_PYTHON)
		return site->of_objects && weight == WEIGHT_PYTHON ? site->figures->live.cnt : 0;
	switch (weight) {
	case WEIGHT_LIVE:
		return site->figures->live.cnt;
	case WEIGHT_FREED:
		return site->figures->freed_here.cnt;
	case WEIGHT_PEAK:
		return site->peak.cnt;
	case WEIGHT_TEMPORARY:
		return site->figures->temporary.cnt;
	default:
		return 0;
	}
}

static void add_rest(struct weight_rest *rests, size_t *cnt, const char *name, uint64_t weight)
{
	if (weight && *cnt < WEIGHT_RESTS_MAX)
		rests[(*cnt)++] = (struct weight_rest){name, weight};
}

/* Of pymalloc, by the walk, that the sites of objects do not account for. */
static void add_other_objects(const struct objects_view *o, struct weight_rest *rests, size_t *cnt)
{
	uint64_t live = o->sites.totals.live.bytes;

	if (o->live_heap != UNKNOWN && o->live_heap > live)
		add_rest(rests, cnt, o->in_cells ? "[from before the attach, or not seen]" : "[from before the attach]",
			 o->live_heap - live);
}

/* So that a graph is as wide as the heap. */
size_t weight_rests(const struct weights *w, enum site_weight weight,
		    struct weight_rest rests[WEIGHT_RESTS_MAX])
{
	const struct allocation_view *a = w->s->allocs;
	size_t cnt = 0;

	if (!weight_is_known(w, weight))
		return 0;
	if (weight == WEIGHT_LIVE && a->unattributed != UNKNOWN)
		add_rest(rests, &cnt, "[from before the attach]", a->unattributed);
	if (weight == WEIGHT_PINNED)
		add_rest(rests, &cnt, "[from before the attach]", a->survey->rest.pinned);
	if (weight == WEIGHT_RETAINED) {
		uint64_t probed = probed_retained(w->s->heap);

		add_rest(rests, &cnt, "[freed by nobody seen]", probed - w->charged);
		add_rest(rests, &cnt, "[pymalloc's arenas]", w->s->heap->retained - probed);
	}
	if (weight == WEIGHT_PYTHON)
		add_other_objects(a->objects, rests, &cnt);
	return cnt;
}
