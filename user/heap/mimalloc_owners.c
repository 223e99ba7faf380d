/*
 * What is counted, by owner: the main thread, every other one, the abandoned pages of threads
 * that have ended, and the memory that is no page's. These are the rows of a report.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "heap/mimalloc_heap.h"

bool mi_grow(struct mi_walk *w, void *v, size_t *cap, size_t cnt, size_t size)
{
	size_t wanted = *cap ? 2 * *cap : 64;
	void **array = v, *grown;

	if (cnt < *cap)
		return true;
	grown = realloc(*array, wanted * size);
	w->no_memory |= !grown;
	if (!grown)
		return false;
	*array = grown;
	*cap = wanted;
	return true;
}

static struct mi_owner *find(struct mi_walk *w, uint64_t thread, bool nobody)
{
	/* The one asked for last is mostly the one asked for next. */
	for (size_t i = w->owner_cnt; i-- > 0;)
		if (w->owners[i].thread == thread && w->owners[i].nobody == nobody)
			return &w->owners[i];
	if (w->owner_cnt >= MI_THREADS_MAX ||
	    !mi_grow(w, &w->owners, &w->owner_cap, w->owner_cnt, sizeof(*w->owners)))
		return NULL;
	w->owners[w->owner_cnt] = (struct mi_owner){.thread = thread, .nobody = nobody};
	return &w->owners[w->owner_cnt++];
}

struct heap_arena *mi_owner(struct mi_walk *w, uint64_t thread)
{
	struct mi_owner *owner = find(w, thread, false);

	return owner ? &owner->arena : NULL;
}

struct heap_arena *mi_nobody(struct mi_walk *w)
{
	struct mi_owner *owner = find(w, 0, true);

	return owner ? &owner->arena : NULL;
}

void mi_broken(struct heap_arena *a, uint64_t at, const char *why)
{
	if (a->inconsistent)
		return;
	a->inconsistent_at = at;
	a->inconsistent = why;
}

/* Resident bytes of a range go where they would be returned, or to what keeps them. */
static void count(struct mi_walk *w, struct heap_arena *a, uint64_t start, uint64_t end, enum mi_who who,
		  uint64_t *kept)
{
	struct heap_figures f = {0};

	tally_range(&w->win, start, end, &f);
	heap_figures_add(&a->f, &f);
	a->walked += end - start;
	if (who == BY_MAIN) {
		a->f.purgeable += f.resident;
		a->f.purgeable_shared += f.shared;
	} else if (who == BY_OTHER) {
		a->f.pinned.other_threads += f.resident;
	} else {
		*kept += f.resident;
	}
}

void mi_count_free(struct mi_walk *w, struct heap_arena *a, uint64_t start, uint64_t end, enum mi_who who)
{
	count(w, a, start, end, who, &a->f.pinned.policy);
}

void mi_count_header(struct mi_walk *w, struct heap_arena *a, uint64_t start, uint64_t end, enum mi_who who)
{
	a->f.overhead += end - start;
	count(w, a, start, end, who, &a->f.pinned.overhead);
}

void mi_note_free(struct mi_walk *w, struct heap_arena *a, uint64_t bytes)
{
	a->f.top += bytes;
	blocks_add(&w->walk->free_class[size_class(bytes)], bytes);
	if (bytes > a->f.largest_free)
		a->f.largest_free = bytes;
}

void mi_note_empty(struct mi_walk *w, struct heap_arena *a, uint64_t bytes)
{
	blocks_add(&a->f.fast, bytes);
	blocks_add(&w->walk->free_class[size_class(bytes)], bytes);
	if (bytes > a->f.largest_free)
		a->f.largest_free = bytes;
}

static void name(struct heap_arena *a, const struct mi_owner *owner, uint64_t main_thread)
{
	a->main = !owner->nobody && owner->thread && owner->thread == main_thread;
	a->addr = owner->thread;
	if (owner->nobody)
		snprintf(a->name, sizeof(a->name), "free, no thread's");
	else if (a->main)
		snprintf(a->name, sizeof(a->name), "main thread");
	else if (owner->thread)
		snprintf(a->name, sizeof(a->name), "thread %#" PRIx64, owner->thread);
	else
		snprintf(a->name, sizeof(a->name), "left by threads");
}

static int by_main(const void *x, const void *y)
{
	const struct heap_arena *a = x, *b = y;

	if (a->main != b->main)
		return (int)b->main - (int)a->main;
	return (a->addr > b->addr) - (a->addr < b->addr);
}

int mi_conclude(struct mi_walk *w)
{
	struct heap_walk *walk = w->walk;

	walk->arenas = calloc(w->owner_cnt ? w->owner_cnt : 1, sizeof(*walk->arenas));
	if (!walk->arenas)
		return -ENOMEM;
	walk->complete = true;
	for (size_t i = 0; i < w->owner_cnt; i++) {
		struct heap_arena *a = &walk->arenas[walk->arena_cnt++];

		*a = w->owners[i].arena;
		name(a, &w->owners[i], w->heaps[0].thread);
		a->f.retained = a->f.purgeable + heap_pinned_sum(&a->f.pinned);
		if (a->walked != a->f.held)
			mi_broken(a, a->addr, "its pages do not add up to what it holds");
		walk->complete &= !a->inconsistent;
		heap_figures_add(&walk->total, &a->f);
	}
	qsort(walk->arenas, walk->arena_cnt, sizeof(*walk->arenas), by_main);
	walk->retries = w->retries;
	return 0;
}
