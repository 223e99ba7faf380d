/* Sums of what walks find: of arenas into a total, of rows into a folded one. */
#include "heap/tally.h"
#include "heap/walk.h"

void heap_blocks_add(struct heap_blocks *sum, const struct heap_blocks *part)
{
	sum->cnt += part->cnt;
	sum->bytes += part->bytes;
}

void heap_figures_add(struct heap_figures *sum, const struct heap_figures *part)
{
	sum->held += part->held;
	sum->resident += part->resident;
	sum->swapped += part->swapped;
	sum->shared += part->shared;
	heap_blocks_add(&sum->live, &part->live);
	heap_blocks_add(&sum->bins, &part->bins);
	heap_blocks_add(&sum->fast, &part->fast);
	heap_blocks_add(&sum->thread_cache, &part->thread_cache);
	sum->top += part->top;
	sum->overhead += part->overhead;
	if (part->largest_free > sum->largest_free)
		sum->largest_free = part->largest_free;
	sum->retained += part->retained;
	sum->purgeable += part->purgeable;
	sum->purgeable_shared += part->purgeable_shared;
	sum->pinned.partial += part->pinned.partial;
	sum->pinned.top += part->pinned.top;
	sum->pinned.thread_cache += part->pinned.thread_cache;
	sum->pinned.other_threads += part->pinned.other_threads;
	sum->pinned.policy += part->pinned.policy;
	sum->pinned.overhead += part->pinned.overhead;
}

void heap_ranges_add(struct heap_ranges *sum, const struct heap_ranges *part)
{
	if (!part->cnt)
		return;
	sum->name = part->name;
	sum->size = !sum->cnt || sum->size == part->size ? part->size : 0;
	sum->cnt += part->cnt;
	sum->empty += part->empty;
	sum->sparse += part->sparse;
	sum->sparse_live += part->sparse_live;
	sum->sparse_retained += part->sparse_retained;
}

struct heap_blocks heap_live_class(const struct heap_walk *walk, unsigned class)
{
	struct heap_blocks sum = {0};

	for (unsigned i = 0; i < STEP_CNT; i++)
		if (size_class(size_step_from(i)) == class)
			heap_blocks_add(&sum, &walk->live_step[i]);
	return sum;
}

uint64_t heap_pinned_sum(const struct heap_pinned *pinned)
{
	return pinned->partial + pinned->top + pinned->thread_cache + pinned->other_threads + pinned->policy +
	       pinned->overhead;
}
