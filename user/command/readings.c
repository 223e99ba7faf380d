#include "command/readings.h"

#include <stdlib.h>

void readings_free(struct readings *r)
{
	free(r->v);
}

static void keep_higher(uint64_t *figure, uint64_t other)
{
	if (other != UNKNOWN && (*figure == UNKNOWN || other > *figure))
		*figure = other;
}

static void thin_out(struct readings *r)
{
	for (size_t i = 0; i + 1 < r->cnt; i += 2) {
		struct state_sample later = r->v[i + 1];

		keep_higher(&later.rss, r->v[i].rss);
		keep_higher(&later.retained, r->v[i].retained);
		keep_higher(&later.purgeable, r->v[i].purgeable);
		r->v[i / 2] = later;
	}
	r->cnt /= 2;
}

void readings_add(struct readings *r, const struct sample *sample, uint64_t live)
{
	const struct heap_state *heap = &sample->heap;

	if (!r->v)
		r->v = malloc(READINGS_MAX * sizeof(*r->v));
	if (!r->v)
		return;
	if (r->cnt == READINGS_MAX)
		thin_out(r);
	r->v[r->cnt++] = (struct state_sample){
		.time_ns = heap->taken_ns,
		.rss = sample->usage.rss,
		.held = heap->held,
		.resident = heap->resident,
		.live_heap = heap->live_heap,
		.retained = heap->retained,
		.purgeable = heap->purgeable,
		.pinned = heap->pinned,
		.live = live,
	};
}
