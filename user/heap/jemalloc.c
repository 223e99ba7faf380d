#include "heap/jemalloc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "heap/jemalloc_heap.h"

/* Of the places of the tree that an extent was expected at, one in so many may be odd while the target runs.
 */
#define ODD_SHARE 64

static const struct heap_words words = {
	.bins = {"slabs", "free in slabs", "regions between live ones: a slab goes back whole"},
	.fast = {"extents", "free in extents", "dirty and muzzy: a purge returns what is resident of them"},
	.thread_cache = {"tcache", "free in tcache", "kept for one thread each"},
	.top = {"retained", "retained by jemalloc", "address space alone: its pages have been given back"},
	.pinned =
		{
			.partial = {NULL, "pinned by neighbours",
				    "free regions of slabs that carry live ones"},
			.thread_cache = {NULL, "pinned in thread caches",
					 "thread.tcache.flush frees them first"},
			.policy = {NULL, "pinned in huge pages", "free, and resident because a neighbour is"},
			.overhead = {NULL, "pinned as overhead",
				     "jemalloc's own structures, padding of large blocks"},
		},
};

static int jemalloc_find(struct memory *mem, unsigned file_version, struct heap **out, struct error *err)
{
	struct heap *heap;
	struct maps maps;
	int rc = memory_maps(mem, &maps, err);

	(void)file_version;
	if (rc)
		return rc;
	heap = calloc(1, sizeof(*heap));
	rc = heap ? jemalloc_locate(mem, &maps, heap) : -ENOMEM;
	maps_free(&maps);
	if (rc) {
		free(heap);
		return rc == -ENOMEM
			       ? error_set(err, rc, "no memory to look for jemalloc's heap")
			       : error_set(err, -ENODATA,
					   "jemalloc's tree of extents was not found: another version than "
					   "5.3, or swapped out");
	}
	*out = heap;
	return 0;
}

struct heap_arena *jemalloc_arena(struct jemalloc_walk *w, unsigned index)
{
	struct heap_walk *walk = w->out;
	const uint32_t *threads; /* nthreads[0]: those whose blocks come from it */
	struct heap_arena *arena;

	if (w->place[index])
		return &walk->arenas[w->place[index] - 1];
	if (walk->arena_cnt == w->arena_cap) {
		size_t cap = w->arena_cap ? 2 * w->arena_cap : 16;
		struct heap_arena *more = realloc(walk->arenas, cap * sizeof(*more));

		if (!more) {
			walk->estimate = true;
			return NULL;
		}
		walk->arenas = more;
		w->arena_cap = cap;
	}
	arena = &walk->arenas[walk->arena_cnt++];
	*arena = (struct heap_arena){.addr = w->arenas[index].addr, .main = index == 0};
	threads = arena->addr ? page_cache_at(&w->cache, arena->addr, sizeof(*threads)) : NULL;
	arena->threads_known = threads != NULL;
	arena->threads = threads ? *threads : 0;
	snprintf(arena->name, sizeof(arena->name), "arena %u", index);
	w->place[index] = (uint16_t)walk->arena_cnt;
	return arena;
}

static void count_extent(const struct jemalloc_extent *e, void *arg)
{
	jemalloc_count_extent(arg, e);
}

/* Puts them in order of their indexes, with their sums. */
static void finish_arenas(struct jemalloc_walk *w)
{
	struct heap_walk *walk = w->out;
	struct heap_arena *sorted = malloc((walk->arena_cnt + 1) * sizeof(*sorted));
	size_t cnt = 0;

	for (size_t i = 0; i < walk->arena_cnt; i++) {
		struct heap_figures *f = &walk->arenas[i].f;

		walk->arenas[i].walked = f->held;
		f->retained = f->purgeable + heap_pinned_sum(&f->pinned);
		heap_figures_add(&walk->total, f);
	}
	for (unsigned i = 0; sorted && i < ARENA_CNT; i++)
		if (w->place[i])
			sorted[cnt++] = walk->arenas[w->place[i] - 1];
	if (sorted) {
		free(walk->arenas);
		walk->arenas = sorted;
	}
}

/* What could not be read or did not fit: a few places are normal in a target that runs. */
static void judge(struct heap_walk *walk, const struct jemalloc_tour *tour)
{
	walk->retries += tour->retries;
	walk->estimate |= tour->unread || tour->odd;
	walk->complete = tour->odd * ODD_SHARE <= tour->extents;
	if (walk->complete || !walk->arena_cnt)
		return;
	walk->arenas[0].inconsistent_at = tour->odd_at;
	walk->arenas[0].inconsistent = "the tree of extents leads to extents that lie elsewhere";
}

static int walk_heap(struct jemalloc_walk *w, struct error *err)
{
	struct jemalloc_tour tour;

	jemalloc_list_arenas(w);
	jemalloc_collect_cached(w);
	jemalloc_each_extent(w->heap, w->mem, &w->cache, tally_room(w->maps), count_extent, w, &tour);
	if (!tour.extents)
		return error_set(err, -EAGAIN,
				 "jemalloc's tree of extents cannot be read: "
				 "it is swapped out, or an exec has replaced it");
	jemalloc_count_bases(w);
	finish_arenas(w);
	judge(w->out, &tour);
	if (w->pages) {
		w->pages->mmapped_sure = !w->out->estimate;
		heap_pages_finish(w->pages);
	}
	return 0;
}

static int jemalloc_walk(struct heap *heap, struct memory *mem, bool want_pages, struct heap_walk *walk,
			 struct error *err)
{
	struct jemalloc_walk w = {.heap = heap, .mem = mem, .out = walk};
	struct maps maps = {0};
	int rc;

	*walk = (struct heap_walk){
		.allocator = heap_walker_jemalloc.allocator,
		.words = &words,
		.started_ns = clock_monotonic_ns(),
	};
	snprintf(walk->version, sizeof(walk->version), "%s", heap->row->range);
	rc = memory_maps(mem, &maps, err);
	if (rc)
		return rc;
	w.maps = &maps;
	w.pages = want_pages ? &walk->pages : NULL;
	w.arenas = calloc(ARENA_CNT, sizeof(*w.arenas));
	w.place = calloc(ARENA_CNT, sizeof(*w.place));
	if (!w.arenas || !w.place || window_init(&w.win, mem) != 0 || page_cache_init(&w.cache, mem) != 0)
		rc = error_set(err, -ENOMEM, "no memory to walk jemalloc's heap");
	else
		rc = walk_heap(&w, err);
	if (rc)
		heap_walk_free(walk);
	walk->duration_ns = clock_monotonic_ns() - walk->started_ns;
	page_cache_free(&w.cache);
	window_free(&w.win);
	free(w.cached);
	free(w.place);
	free(w.arenas);
	maps_free(&maps);
	return rc;
}

static void jemalloc_free(struct heap *heap)
{
	free(heap);
}

const struct heap_walker heap_walker_jemalloc = {
	.allocator = "jemalloc",
	.find = jemalloc_find,
	.walk = jemalloc_walk,
	.free = jemalloc_free,
};
