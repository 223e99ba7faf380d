#include "heap/mimalloc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "heap/mimalloc_heap.h"

static const struct heap_words words = {
	.bins = {"blocks", "free on pages in use", "not given back while one block of the page is live"},
	.fast = {"pages", "free pages", "no block left, kept by their thread's heap"},
	.thread_cache = {"foreign", "freed by other threads", "the owner has not taken them back yet"},
	.top = {"spans", "free, in no page", "never used or returned ones included"},
	.pinned =
		{
			.partial = {NULL, "pinned by live blocks", "free, on pages that carry a live block"},
			.other_threads = {NULL, "pinned by other threads",
					  "would go back if those threads called mi_collect(true)"},
			.policy = {NULL, "free and left alone",
				   "this version's purge, or an option, leaves them"},
			.overhead = {NULL, "pinned as overhead", "mimalloc's own tables"},
		},
};

static int mimalloc_find(struct memory *mem, unsigned file_version, struct heap **out, struct error *err)
{
	struct heap *heap;
	struct maps maps;
	int rc = memory_maps(mem, &maps, err);

	(void)file_version; /* what is found in memory decides */
	if (rc)
		return rc;
	heap = calloc(1, sizeof(*heap));
	rc = heap ? mi_locate(mem, &maps, heap) : -ENOMEM;
	maps_free(&maps);
	if (rc) {
		free(heap);
		return error_set(err, rc,
				 rc == -ENOMEM ? "no memory to look for mimalloc's heap"
					       : "mimalloc has not been used in this process, or it is of an "
						 "unknown version");
	}
	*out = heap;
	return 0;
}

static void note_options(const struct mi_walk *w)
{
	static const struct heap_setting settings[MI_OPTION_CNT] = {
		[MI_PURGE_DELAY] = {"purge_delay", "purge delay", HEAP_MILLISECONDS, 0},
		[MI_PURGE_DECOMMITS] = {"purge_decommits", "purge_decommits", HEAP_NUMBER, 0},
		[MI_ALLOW_DECOMMIT] = {"allow_decommit", "allow_decommit", HEAP_NUMBER, 0},
		[MI_SEGMENT_DELAY] = {"segment_decommit_delay", "segment decommit delay", HEAP_MILLISECONDS,
				      0},
		[MI_ARENA_MULT] = {"arena_purge_mult", "arena_purge_mult", HEAP_NUMBER, 0},
		[MI_MINIMAL_PURGE] = {"minimal_purge_size", "minimal_purge_size", HEAP_NUMBER, 0},
		[MI_ALLOW_THP] = {"allow_thp", "allow_thp", HEAP_NUMBER, 0},
	};

	for (size_t i = 0; i < MI_OPTION_CNT; i++) {
		struct heap_setting setting = settings[i];

		setting.value = w->options.v[i];
		if (w->heap->option[i])
			heap_walk_set(w->walk, setting);
	}
}

static int walk_all(struct mi_walk *w)
{
	int rc = w->heap->row->slices ? mi_walk_slices(w) : mi_walk_segments(w);

	if (!rc && w->no_memory)
		rc = -ENOMEM;
	if (!rc)
		rc = mi_conclude(w);
	return rc;
}

static void free_walk(struct mi_walk *w)
{
	mi_free_areas(w);
	window_free(&w->win);
	free(w->bytes);
	free(w->owners);
	free(w->segments);
	free(w->spans);
	free(w->heaps);
	free(w->delayed);
	free(w->sorted);
	free(w->covered);
}

static int mimalloc_walk(struct heap *heap, struct memory *mem, bool want_pages, struct heap_walk *walk,
			 struct error *err)
{
	struct mi_walk w = {
		.heap = heap, .mem = mem, .walk = walk, .pages = want_pages ? &walk->pages : NULL};
	struct maps maps = {0};
	int rc;

	*walk = (struct heap_walk){
		.allocator = heap_walker_mimalloc.allocator,
		.words = &words,
		.started_ns = clock_monotonic_ns(),
	};
	snprintf(walk->version, sizeof(walk->version), "%s", heap->row->range);
	rc = memory_maps(mem, &maps, err);
	if (rc)
		return rc;
	w.maps = &maps;
	w.now_ms = walk->started_ns / 1000000;
	w.bytes = malloc(MI_HEADER_MAX);
	rc = w.bytes ? window_init(&w.win, mem) : -ENOMEM;
	if (!rc) {
		mi_read_options(heap, mem, &w.options);
		rc = walk_all(&w);
	}
	if (!rc && want_pages)
		heap_pages_finish(&walk->pages);
	note_options(&w);
	walk->duration_ns = clock_monotonic_ns() - walk->started_ns;
	if (rc) {
		error_set(err, rc,
			  rc == -ENOMEM ? "no memory to walk mimalloc's heap"
					: "mimalloc's first heap cannot be read: it is swapped out, or an "
					  "exec has replaced it");
		heap_walk_free(walk);
	}
	free_walk(&w);
	maps_free(&maps);
	return rc;
}

static void mimalloc_free(struct heap *heap)
{
	free(heap);
}

const struct heap_walker heap_walker_mimalloc = {
	.allocator = "mimalloc",
	.find = mimalloc_find,
	.walk = mimalloc_walk,
	.free = mimalloc_free,
};
