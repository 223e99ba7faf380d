#include "heap/glibc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "heap/glibc_heap.h"

static const struct heap_words words = {
	.bins = {"bins", "free in bins", "coalesced with free neighbours"},
	.fast = {"fastbins", "free in fastbins", "a purge coalesces them first"},
	.thread_cache = {"tcache", "free in tcache", "kept for one thread each"},
	.top = {"top", "free in tops", "the ends of the arenas"},
	.pinned =
		{
			.partial = {NULL, "pinned by neighbours",
				    "free, on pages that also carry live blocks"},
			.top = {NULL, "pinned in tops", "no purge trims them"},
			.thread_cache = {NULL, "pinned in thread caches", "never coalesced, never trimmed"},
			.overhead = {NULL, "pinned as overhead", "the allocator's own headers"},
		},
};

static int glibc_find(struct memory *mem, unsigned file_version, struct heap **out, struct error *err)
{
	struct heap *heap;
	struct maps maps;
	int rc = memory_maps(mem, &maps, err);

	if (rc)
		return rc;
	heap = calloc(1, sizeof(*heap));
	rc = heap ? glibc_locate(mem, &maps, file_version, heap) : -ENOMEM;
	maps_free(&maps);
	if (rc) {
		free(heap);
		return error_set(err, rc,
				 rc == -ENOMEM ? "no memory to look for glibc's heap"
					       : "glibc's allocator has never been used in this process");
	}
	*out = heap;
	return 0;
}

int glibc_by_address(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* The addresses of all arenas, main first, then ascending. 0 or −errno; the caller frees *list. */
static int list_arenas(const struct heap *heap, struct memory *mem, uint64_t **list, size_t *cnt)
{
	size_t cap = 16, used = 0;
	uint64_t addr = heap->main_arena;
	uint64_t *v = malloc(cap * sizeof(*v));

	do {
		if (v && used == cap) {
			uint64_t *more = realloc(v, 2 * cap * sizeof(*v));

			if (!more)
				free(v);
			v = more;
			cap *= 2;
		}
		if (!v)
			return -ENOMEM;
		v[used++] = addr;
		if (used > ARENA_MAX ||
		    window_peek(mem, addr + glibc_next_offset(heap->row), &addr, sizeof(addr)) != 0 ||
		    !addr || addr & 7) {
			free(v);
			return -EAGAIN;
		}
	} while (addr != heap->main_arena);
	qsort(v + 1, used - 1, sizeof(*v), glibc_by_address);
	*list = v;
	*cnt = used;
	return 0;
}

static void add_classes(struct heap_walk *walk, const struct glibc_tally *tally)
{
	for (size_t i = 0; i < STEP_CNT; i++)
		heap_blocks_add(&walk->live_step[i], &tally->live_step[i]);
	for (size_t i = 0; i < HEAP_CLASS_CNT; i++) {
		heap_blocks_add(&walk->free_class[i], &tally->free_class[i]);
		heap_blocks_add(&walk->pinned_class[i], &tally->pinned_class[i]);
	}
}

static void walk_arenas(struct glibc_walk *w, const struct maps *maps, const uint64_t *addrs,
			struct heap_walk *walk)
{
	for (size_t i = 0; i < walk->arena_cnt; i++) {
		struct glibc_tally tally;

		glibc_walk_arena(w, addrs[i], maps, &walk->arenas[i], &tally);
		add_classes(walk, &tally);
		walk->estimate |= tally.estimate;
		w->by_looks[i] = w->fast.too_many;
	}
}

static void add_up(struct heap_walk *walk)
{
	walk->complete = true;
	for (size_t i = 0; i < walk->arena_cnt; i++) {
		heap_figures_add(&walk->total, &walk->arenas[i].f);
		walk->complete &= !walk->arenas[i].inconsistent;
	}
	heap_blocks_add(&walk->total.live, &walk->mmapped);
	walk->total.held += walk->mmapped.bytes;
	walk->total.resident += walk->mmapped_resident;
}

static void name_version(const struct heap *heap, struct heap_walk *walk)
{
	unsigned v = heap->version;

	if (v)
		snprintf(walk->version, sizeof(walk->version), "%u.%u", v / 1000, v % 1000);
	else
		snprintf(walk->version, sizeof(walk->version), "%s", heap->row->range);
}

/* As they stand now: glibc raises the first two when a large block is freed. */
static void note_params(const struct glibc_params *params, struct heap_walk *walk)
{
	heap_walk_set(walk, (struct heap_setting){"trim_threshold", "trim at free", HEAP_BYTES,
						  (int64_t)params->trim_threshold});
	heap_walk_set(walk, (struct heap_setting){"mmap_threshold", "mmap", HEAP_BYTES,
						  (int64_t)params->mmap_threshold});
	heap_walk_set(walk,
		      (struct heap_setting){"top_pad", "top_pad", HEAP_BYTES, (int64_t)params->top_pad});
	if (params->arena_max)
		heap_walk_set(walk, (struct heap_setting){"arena_max", "arenas at most", HEAP_NUMBER,
							  (int64_t)params->arena_max});
}

static int glibc_walk(struct heap *heap, struct memory *mem, bool want_pages, struct heap_walk *walk,
		      struct error *err)
{
	struct glibc_walk w = {.heap = heap, .mem = mem, .pages = want_pages ? &walk->pages : NULL};
	struct maps maps = {0};
	uint64_t *addrs = NULL;
	int rc;

	*walk = (struct heap_walk){
		.allocator = heap_walker_glibc.allocator,
		.words = &words,
		.started_ns = clock_monotonic_ns(),
	};
	name_version(heap, walk);
	rc = memory_maps(mem, &maps, err);
	if (rc)
		return rc;
	rc = list_arenas(heap, mem, &addrs, &walk->arena_cnt);
	if (!rc)
		rc = glibc_read_params(heap, mem, &w.params);
	if (rc) {
		rc = error_set(err, -EAGAIN,
			       "glibc's list of arenas cannot be read: "
			       "it is swapped out, or an exec has replaced it");
		goto out;
	}
	w.tcaches.chunk = malloc(TCACHES_MAX * sizeof(*w.tcaches.chunk));
	w.by_looks = calloc(walk->arena_cnt, sizeof(*w.by_looks));
	walk->arenas = calloc(walk->arena_cnt, sizeof(*walk->arenas));
	if (!w.tcaches.chunk || !w.by_looks || !walk->arenas || window_init(&w.win, mem) != 0) {
		rc = error_set(err, -ENOMEM, "no memory to walk glibc's heap");
		goto out;
	}
	walk->pages.header = 16;
	walk_arenas(&w, &maps, addrs, walk);
	glibc_count_tcaches(&w, walk);
	glibc_count_mmapped(&w, &maps, walk);
	add_up(walk);
	if (want_pages)
		heap_pages_finish(&walk->pages);
	note_params(&w.params, walk);
	walk->retries += w.retries;
	walk->duration_ns = clock_monotonic_ns() - walk->started_ns;
out:
	if (rc)
		heap_walk_free(walk);
	window_free(&w.win);
	free(w.tcaches.chunk);
	free(w.by_looks);
	free(w.fast.chunk);
	free(addrs);
	maps_free(&maps);
	return rc;
}

static void glibc_free(struct heap *heap)
{
	free(heap);
}

const struct heap_walker heap_walker_glibc = {
	.allocator = "glibc",
	.find = glibc_find,
	.walk = glibc_walk,
	.free = glibc_free,
};
