#include "heap/pymalloc.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "heap/pymalloc_heap.h"

#define TRIES 8 /* to find a list of arenas, and to read it, that does not change meanwhile */

static const struct heap_words words = {
	.bins = {"blocks", "free blocks", "in pools that also have blocks in use"},
	.fast = {"pools", "free pools", "for the next objects of any size"},
	.top = {"unused", "never used", "the ends of arenas"},
	.pinned =
		{
			.partial = {NULL, "pinned by neighbours",
				    "free, in pools that also have live blocks"},
			.top = {NULL, "pinned and never used", "resident by huge pages only"},
			.policy = {NULL, "pinned by their arenas",
				   "free pools: an arena goes back as a whole"},
			.overhead = {NULL, "pinned as overhead",
				     "pools' headers, and what no block fits into"},
		},
};

/*
 * A thread that is preempted in the midst of a change leaves it so until it runs again, which other
 * reads at once do not wait for: 1 ms at first, 64 ms before the last try.
 */
static void let_it_run(unsigned try)
{
	nanosleep(
		&(struct timespec) { .tv_nsec = 1000000L << (try < TRIES - 1 ? try : TRIES - 1) }, NULL);
}

/* In the midst of a change its lists of pools look like no lists at all: where it is by its name, look again.
 */
static bool is_to_be_there(const struct maps *maps)
{
	for (size_t i = 0; i < maps->cnt; i++)
		if (maps->v[i].exec && pymalloc_is_home(maps->v[i].name))
			return true;
	return false;
}

/* Looks again where a running target has changed under the search. */
static int locate(struct memory *mem, unsigned file_version, struct heap *heap, struct error *err)
{
	bool again = true;
	int rc = 0;

	for (unsigned try = 0; try < TRIES && again; try++) {
		struct maps maps;

		if (try)
			let_it_run(try - 1);
		rc = memory_maps(mem, &maps, err);
		if (rc)
			return rc;
		rc = pymalloc_locate(mem, &maps, file_version, heap, err);
		again = rc == -EAGAIN || (rc == -ENODATA && is_to_be_there(&maps));
		maps_free(&maps);
	}
	return rc == -ENODATA ? -ENOENT : rc;
}

static int pymalloc_find(struct memory *mem, unsigned file_version, struct heap **out, struct error *err)
{
	struct heap *heap = calloc(1, sizeof(*heap));
	int rc = heap ? locate(mem, file_version, heap, err)
		      : error_set(err, -ENOMEM, "no memory to look for pymalloc");

	if (rc) {
		free(heap);
		return rc;
	}
	*out = heap;
	return 0;
}

static void add_tally(struct heap_walk *walk, struct heap_arena *arena, const struct pymalloc_tally *t)
{
	arena->heap_cnt = (unsigned)t->ranges.cnt;
	arena->f = t->f;
	arena->walked = t->walked;
	arena->inconsistent_at = t->inconsistent_at;
	arena->inconsistent = t->inconsistent;
	heap_figures_add(&walk->total, &t->f);
	for (size_t i = 0; i < STEP_CNT; i++)
		heap_blocks_add(&walk->live_step[i], &t->live_step[i]);
	for (size_t i = 0; i < HEAP_CLASS_CNT; i++)
		heap_blocks_add(&walk->free_class[i], &t->free_class[i]);
	heap_ranges_add(&walk->ranges, &t->ranges);
	walk->complete &= !t->inconsistent;
	walk->estimate |= t->estimate;
	walk->retries += t->retries;
}

/* Adds the arenas of one state as a row. 0, or why they cannot be read. */
static int walk_state(const struct heap *heap, const struct pymalloc_state *state, struct memory *mem,
		      struct heap_walk *walk)
{
	struct heap_arena *arena = &walk->arenas[walk->arena_cnt];
	struct pymalloc_tally tally = {0};
	struct pymalloc_arenas list;
	int rc;

	for (unsigned try = 0; try < TRIES; try++) {
		if (try)
			let_it_run(try - 1);
		rc = pymalloc_read_arenas(heap, state, mem, &list);
		if (rc != -EAGAIN)
			break;
		walk->retries++;
	}
	if (rc)
		return rc;
	for (uint32_t i = 0; i < list.cnt; i++)
		if (list.v[i].address)
			pymalloc_walk_arena(heap, mem, &list, i, &tally);
	free(list.v);
	arena->addr = state->used;
	add_tally(walk, arena, &tally);
	walk->arena_cnt++;
	return 0;
}

static void name_version(const struct heap *heap, struct heap_walk *walk)
{
	if (heap->version)
		snprintf(walk->version, sizeof(walk->version), "%u.%u", heap->version / 1000,
			 heap->version % 1000);
	else
		snprintf(walk->version, sizeof(walk->version), "%s",
			 heap->main.together                ? "3.12 or newer"
			 : heap->pool_size == POOL_SIZE_OLD ? "3.8–3.9"
							    : "3.10–3.11");
}

/* The main interpreter's arenas, with those of others that share them; then the ones of their own. */
static int walk_states(const struct heap *heap, struct memory *mem, struct heap_walk *walk)
{
	struct pymalloc_interpreter *others = calloc(INTERPRETERS_MAX, sizeof(*others));
	size_t cnt = others ? pymalloc_read_interpreters(heap, mem, others) : 0;
	int rc = -ENOMEM;

	walk->arenas = calloc(1 + cnt, sizeof(*walk->arenas));
	if (others && walk->arenas)
		rc = walk_state(heap, &heap->main, mem, walk);
	if (!rc) {
		walk->arenas[0].main = true;
		snprintf(walk->arenas[0].name, sizeof(walk->arenas[0].name), "%s",
			 cnt ? "main interpreter" : "all interpreters");
	}
	/* One that has begun or ends just now may have no list to read. */
	for (size_t i = 0; !rc && i < cnt; i++)
		if (!walk_state(heap, &others[i].state, mem, walk))
			snprintf(walk->arenas[walk->arena_cnt - 1].name, sizeof(walk->arenas[0].name),
				 "interpreter %" PRId64, others[i].id);
	free(others);
	return rc;
}

static int pymalloc_walk(struct heap *heap, struct memory *mem, bool want_pages, struct heap_walk *walk,
			 struct error *err)
{
	int rc;

	(void)want_pages; /* who holds a page is not known: no probe sees these blocks */
	*walk = (struct heap_walk){
		.allocator = heap_walker_pymalloc.allocator,
		.words = &words,
		.complete = true,
		.started_ns = clock_monotonic_ns(),
	};
	name_version(heap, walk);
	rc = walk_states(heap, mem, walk);
	if (rc == -ENOMEM)
		error_set(err, rc, "no memory to walk pymalloc's arenas");
	else if (rc)
		rc = error_set(
			err, -EAGAIN,
			"pymalloc's list of arenas cannot be read: it is swapped out, changes too often, "
			"or an exec has replaced it");
	if (rc)
		heap_walk_free(walk);
	walk->duration_ns = clock_monotonic_ns() - walk->started_ns;
	return rc;
}

static void pymalloc_free(struct heap *heap)
{
	free(heap);
}

const struct heap_walker heap_walker_pymalloc = {
	.allocator = "pymalloc",
	.find = pymalloc_find,
	.walk = pymalloc_walk,
	.free = pymalloc_free,
};
