#include "picture/ended_rows.h"

#include <stdio.h>
#include <stdlib.h>

struct kept {
	struct snapshot s;
	struct heap_state heap;
	struct allocation_view allocs;
	char command[64], ended[128];
};

struct ended_rows {
	struct kept v[ENDED_ROWS_MAX];
	const struct snapshot *list[ENDED_ROWS_MAX];
	size_t cnt;
};

struct ended_rows *ended_rows_new(void)
{
	return calloc(1, sizeof(struct ended_rows));
}

void ended_rows_free(struct ended_rows *rows)
{
	free(rows);
}

/* A place for one of that RSS, or NULL. */
static struct kept *place_for(struct ended_rows *rows, uint64_t rss)
{
	struct kept *least = &rows->v[0];

	if (rows->cnt < ENDED_ROWS_MAX) {
		rows->list[rows->cnt] = &rows->v[rows->cnt].s;
		return &rows->v[rows->cnt++];
	}
	for (size_t i = 1; i < rows->cnt; i++)
		if (rows->v[i].s.rss < least->s.rss)
			least = &rows->v[i];
	return least->s.rss < rss ? least : NULL;
}

static void copy_heap(struct kept *k, const struct heap_state *heap)
{
	k->heap = (struct heap_state){
		.taken_ns = heap->taken_ns,
		.held = heap->held,
		.resident = heap->resident,
		.live_heap = heap->live_heap,
		.retained = heap->retained,
		.purgeable = heap->purgeable,
		.pinned = heap->pinned,
	};
	k->s.heap = &k->heap;
}

static void copy_allocs(struct kept *k, const struct allocation_view *allocs)
{
	k->allocs = (struct allocation_view){.totals = allocs->totals, .before = allocs->before};
	k->s.allocs = &k->allocs;
}

void ended_rows_keep(struct ended_rows *rows, const struct snapshot *s)
{
	struct kept *k = place_for(rows, s->rss);

	if (!k)
		return;
	snprintf(k->command, sizeof(k->command), "%s", s->command);
	snprintf(k->ended, sizeof(k->ended), "%s", s->ended ? s->ended : "");
	k->s = (struct snapshot){
		.time_ns = s->time_ns,
		.started_ns = s->started_ns,
		.interval_ns = s->interval_ns,
		.pid = s->pid,
		.command = k->command,
		.final = true,
		.gone = s->gone,
		.killed = s->killed,
		.ended = k->ended,
		.rss = s->rss,
		.shmem = s->shmem,
		.lazy_free = s->lazy_free,
		.swap = s->swap,
	};
	copy_heap(k, s->heap);
	if (s->allocs)
		copy_allocs(k, s->allocs);
}

size_t ended_rows_list(const struct ended_rows *rows, const struct snapshot *const **v)
{
	*v = rows->list;
	return rows->cnt;
}
