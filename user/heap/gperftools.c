#include "heap/gperftools.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "heap/gperftools_heap.h"

/* Of the places of the page map one in so many may be odd while the target runs. */
#define ODD_SHARE 64

static const struct heap_words words = {
	.bins = {"central", "free in central lists",
		 "of spans that carry live blocks, or on the way to threads"},
	.fast = {"spans", "free in spans", "a purge returns what is resident of them"},
	.thread_cache = {"thread_caches", "free in thread caches", "kept for one thread each"},
	.top = {"returned", "returned before", "address space alone: its pages have been given back"},
	.pinned =
		{
			.partial = {NULL, "pinned by neighbours",
				    "free, in spans that carry live or cached blocks"},
			.thread_cache = {NULL, "pinned in thread caches",
					 "MallocExtension_MarkThreadIdle frees them"},
			.policy = {NULL, "pinned in huge pages",
				   "returned, and resident because a neighbour is"},
			.overhead = {NULL, "pinned as overhead",
				     "the page map, spans' structs, thread caches"},
		},
};

static int gperftools_find(struct memory *mem, unsigned file_version, struct heap **out, struct error *err)
{
	struct heap *heap;
	struct maps maps;
	int rc = memory_maps(mem, &maps, err);

	(void)file_version;
	if (rc)
		return rc;
	heap = calloc(1, sizeof(*heap));
	rc = heap ? gperftools_locate(mem, &maps, heap) : -ENOMEM;
	maps_free(&maps);
	if (rc) {
		free(heap);
		return rc == -ENOMEM ? error_set(err, rc, "no memory to look for gperftools' heap")
				     : error_set(err, -ENODATA,
						 "gperftools' page map was not found: another version than "
						 "2.8 to 2.18, or swapped out");
	}
	*out = heap;
	return 0;
}

void gperftools_note_own(struct gperftools_walk *w, uint64_t addr, uint64_t len)
{
	for (uint64_t page = align_down(addr, TARGET_PAGE_SIZE); page < addr + len;
	     page += TARGET_PAGE_SIZE) {
		if (w->own_cnt && w->own_pages[w->own_cnt - 1] == page)
			continue;
		if (w->own_cnt == w->own_cap) {
			size_t cap = w->own_cap ? 2 * w->own_cap : 256;
			uint64_t *more = realloc(w->own_pages, cap * sizeof(*more));

			if (!more)
				return;
			w->own_pages = more;
			w->own_cap = cap;
		}
		w->own_pages[w->own_cnt++] = page;
	}
}

static void note_table(uint64_t table, uint64_t len, void *arg)
{
	gperftools_note_own(arg, table, len);
}

static int by_address(const void *x, const void *y)
{
	uint64_t a = *(const uint64_t *)x, b = *(const uint64_t *)y;

	return (a > b) - (a < b);
}

/* The pages of its own structures, each once. */
static void count_own(struct gperftools_walk *w)
{
	struct heap_figures *f = w->f;

	radix_tables(&w->heap->tree, w->heap->root, w->mem, note_table, w);
	if (w->own_cnt)
		qsort(w->own_pages, w->own_cnt, sizeof(*w->own_pages), by_address);
	for (size_t i = 0; i < w->own_cnt; i++) {
		uint64_t page = w->own_pages[i], resident = f->resident;

		if (i && w->own_pages[i - 1] == page)
			continue;
		tally_page(f, window_state(&w->win, page), TARGET_PAGE_SIZE);
		f->held += TARGET_PAGE_SIZE;
		f->overhead += TARGET_PAGE_SIZE;
		f->pinned.overhead += f->resident - resident;
	}
}

static void finish(struct gperftools_walk *w)
{
	struct heap_walk *walk = w->out;
	struct heap_arena *arena = &walk->arenas[0];

	snprintf(walk->version, sizeof(walk->version), "%s", w->heap->row ? w->heap->row->range : "2");
	w->f->retained = w->f->purgeable + heap_pinned_sum(&w->f->pinned);
	arena->walked = w->f->held;
	heap_figures_add(&walk->total, w->f);
	walk->estimate |= w->odd || w->unread || w->f->swapped;
	walk->complete = w->odd * ODD_SHARE <= w->spans;
	if (!walk->complete) {
		arena->inconsistent_at = w->odd_at;
		arena->inconsistent = "the page map leads to spans that lie elsewhere";
	}
	if (w->pages)
		heap_pages_finish(w->pages);
}

static int walk_heap(struct gperftools_walk *w, struct error *err)
{
	uint64_t at = w->heap->sizes - offsetof(struct gperftools_sizes, size);

	w->out->arenas = calloc(1, sizeof(*w->out->arenas));
	if (!w->out->arenas)
		return error_set(err, -ENOMEM, "no memory to walk gperftools' heap");
	w->out->arena_cnt = 1;
	w->out->arenas[0] = (struct heap_arena){.name = "page heap", .addr = w->heap->root, .main = true};
	w->f = &w->out->arenas[0].f;
	if (window_peek(w->mem, at, &w->sizes, sizeof(w->sizes)) == 0)
		gperftools_count_spans(w);
	if (!w->spans)
		return error_set(
			err, -EAGAIN,
			"gperftools' page map cannot be read: it is swapped out, or an exec has replaced it");
	gperftools_count_caches(w);
	count_own(w);
	finish(w);
	return 0;
}

static int gperftools_walk(struct heap *heap, struct memory *mem, bool want_pages, struct heap_walk *walk,
			   struct error *err)
{
	struct gperftools_walk w = {.heap = heap, .mem = mem, .out = walk, .page_shift = heap->tree.page};
	struct maps maps;
	int rc;

	*walk = (struct heap_walk){
		.allocator = heap_walker_gperftools.allocator,
		.words = &words,
		.started_ns = clock_monotonic_ns(),
	};
	rc = memory_maps(mem, &maps, err);
	if (rc)
		return rc;
	w.room = tally_room(&maps);
	maps_free(&maps);
	w.pages = want_pages ? &walk->pages : NULL;
	if (window_init(&w.win, mem) != 0 || page_cache_init(&w.cache, mem) != 0)
		rc = error_set(err, -ENOMEM, "no memory to walk gperftools' heap");
	else
		rc = walk_heap(&w, err);
	if (rc)
		heap_walk_free(walk);
	walk->duration_ns = clock_monotonic_ns() - walk->started_ns;
	page_cache_free(&w.cache);
	window_free(&w.win);
	free(w.own_pages);
	return rc;
}

static void gperftools_free(struct heap *heap)
{
	free(heap);
}

const struct heap_walker heap_walker_gperftools = {
	.allocator = "gperftools",
	.find = gperftools_find,
	.walk = gperftools_walk,
	.free = gperftools_free,
};
