/*
 * One arena. The main one is what sbrk gave: one piece, or several where somebody else moved
 * the break, or mapped regions where the break could not grow. Every other one is a list of
 * heaps, each in an aligned reservation of its own (malloc/arena.c).
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "heap/glibc_heap.h"
#include "heap/glibc_pages.h"

#define ATTEMPTS 6       /* at an arena that changes so much that it does not add up */
#define REGIONS_MAX 4096 /* pieces of a main arena */
#define HEAPS_MAX 65536  /* of one arena: 4 TB */

struct walked {
	struct glibc_walk *w;
	const struct maps *maps;
	struct heap_arena *out;
	struct glibc_tally *tally;
	struct glibc_arena arena; /* as first read; as last read once top has been reached */
	bool trims_top;
};

static void fail(struct walked *a, uint64_t at, const char *why)
{
	if (a->out->inconsistent)
		return;
	a->out->inconsistent_at = at;
	a->out->inconsistent = why;
}

/* ---- the main arena ---- */

static uint64_t break_end(const struct maps *maps)
{
	uint64_t end = 0;

	for (size_t i = 0; i < maps->cnt; i++)
		if (!strcmp(maps->v[i].name, "[heap]") && maps->v[i].end > end)
			end = maps->v[i].end;
	return end;
}

/* Whether top ends where the break is: systrim leaves it alone otherwise. */
static bool top_is_break(const struct walked *a)
{
	uint64_t end = a->arena.top + a->arena.top_size;
	struct maps fresh;
	bool same;

	if (break_end(a->maps) == end)
		return true;
	/* The break may have moved since the mappings were read. */
	if (memory_maps(a->w->mem, &fresh, NULL) != 0)
		return false;
	same = break_end(&fresh) == end;
	maps_free(&fresh);
	return same;
}

/* Where the main arena begins: mp_.sbrk_base, or by arithmetic while it is one piece. */
static uint64_t main_start(const struct walked *a)
{
	const struct glibc_arena *arena = &a->arena;

	if (a->w->params.sbrk_base)
		return a->w->params.sbrk_base;
	return arena->contiguous ? arena->top + arena->top_size - arena->system_mem : 0;
}

static bool is_huge(const struct walked *a, uint64_t addr)
{
	const struct mapping *m = maps_find(a->maps, addr);

	return m && glibc_is_huge(m);
}

static enum chain_end walk_piece(struct walked *a, uint64_t from, uint64_t limit, uint64_t *end)
{
	struct chain chain = {
		.arena = a->arena.addr,
		.floor = from,
		.start = align_up(from, 16),
		.limit = limit,
		.main = true,
		.trims_top = a->trims_top,
		.huge = is_huge(a, from),
	};
	enum chain_end how = glibc_walk_chain(a->w, &chain, a->tally);

	a->out->heap_cnt++;
	*end = chain.end;
	if (how == CHAIN_TOP)
		a->arena = chain.at_top;
	if (how == CHAIN_BROKEN)
		fail(a, chain.end, chain.broken);
	return how;
}

/* Memory that somebody else took by sbrk, between two pieces: held, but no chunk and not free. */
static void count_gap(struct walked *a, uint64_t start, uint64_t end)
{
	struct heap_figures *f = &a->tally->f;

	tally_range(&a->w->win, start, end, f);
	f->overhead += end - start;
	a->tally->walked += end - start;
}

/* What came by sbrk. True: top was reached. */
static bool walk_break(struct walked *a)
{
	uint64_t at = main_start(a), limit = ADDRESS_END, next;

	if (!a->arena.contiguous) {
		const struct mapping *m = maps_find(a->maps, at);

		/* sbrk_base may be mapped itself, from the first byte on: that is for walk_mapped. */
		limit = m && !strcmp(m->name, "[heap]") ? m->end : at;
	}
	for (unsigned i = 0; i < REGIONS_MAX && at && at < limit; i++) {
		enum chain_end how = walk_piece(a, at, limit, &at);

		if (how != CHAIN_FENCE)
			return how == CHAIN_TOP;
		a->w->win.limit = limit;
		window_drop(&a->w->win);
		next = a->arena.contiguous ? a->arena.top + 1 : limit;
		next = glibc_find_chain(a->w, at, next, a->arena.top);
		if (!next)
			break;
		if (next > at)
			count_gap(a, at, next);
		at = next;
	}
	return false;
}

/* What was mapped where the break could not grow: regions from a first chunk to a fence or top. */
static void walk_mapped(struct walked *a)
{
	uint64_t low = main_start(a), high = break_end(a->maps);
	struct page_heads heads;
	uint64_t addr, words[2];

	glibc_heads_init(&heads, a->w->mem, a->maps);
	while (a->tally->walked < a->arena.system_mem && glibc_heads_next(&heads, &addr, words)) {
		const struct mapping *m = heads.mapping;
		struct glibc_tally before = *a->tally;
		struct heap_arena out = *a->out;
		struct glibc_mark mark = glibc_mark(a->w);
		uint64_t end;

		if ((addr >= low && addr < high) || (words[1] & CHUNK_FLAGS) != CHUNK_PREV_INUSE)
			continue;
		a->w->win.limit = m->end;
		window_drop(&a->w->win);
		if (!glibc_is_chain(a->w, addr, m->end, a->arena.top))
			continue;
		if (walk_piece(a, addr, m->end, &end) != CHAIN_BROKEN) {
			glibc_heads_skip(&heads, end);
			continue;
		}
		*a->tally = before;
		*a->out = out;
		glibc_rewind(a->w, &mark);
	}
}

static void walk_main(struct walked *a)
{
	bool at_top;

	if (!a->arena.top)
		return;
	a->trims_top = top_is_break(a);
	at_top = walk_break(a);
	if (!at_top && !a->out->inconsistent && !a->arena.contiguous)
		walk_mapped(a);
	else if (!at_top)
		fail(a, a->arena.top, "no chunks lead to top");
}

/* ---- the others ---- */

struct heap_info { /* malloc/arena.c */
	uint64_t arena, prev, size;
};

/* heap_max_size(): 64 MB, or four huge pages where heaps are made of those. */
static uint64_t reservation(const struct walked *a, uint64_t size)
{
	uint64_t huge = 4 * a->w->params.hp_pagesize;

	return huge && size <= huge ? huge : HEAP_MAX_DEFAULT;
}

static void walk_heaps(struct walked *a)
{
	uint64_t base = glibc_heap_of(a->w->heap, a->w->mem, &a->w->params, a->arena.top);
	bool newest = true;

	if (!base)
		fail(a, a->arena.top, "top is in no heap");
	for (unsigned i = 0; base && i < HEAPS_MAX; i++, newest = false) {
		bool first = a->arena.addr > base && a->arena.addr - base == a->w->heap->row->heap_info;
		struct heap_info info;
		struct chain chain = {
			.arena = a->arena.addr,
			.floor = base,
			.heap_end = !newest,
			.huge = is_huge(a, base),
		};

		if (window_peek(a->w->mem, base, &info, sizeof(info)) != 0 || info.arena != a->arena.addr ||
		    info.size > CHUNK_SIZE_MAX || info.size < 2 * a->w->heap->row->heap_info) {
			fail(a, base, "a heap's header is not readable or not this arena's");
			return;
		}
		chain.start = first ? align_up(a->arena.addr + glibc_arena_size(a->w->heap), 16)
				    : base + a->w->heap->row->heap_info;
		/* The newest may grow meanwhile, up to its reservation. */
		chain.limit = base + (newest ? reservation(a, info.size) : info.size);
		if (glibc_walk_chain(a->w, &chain, a->tally) == CHAIN_BROKEN) {
			fail(a, chain.end, chain.broken);
			return;
		}
		a->out->heap_cnt++;
		if (newest)
			a->arena = chain.at_top;
		base = info.prev;
	}
}

/* ---- both ---- */

/*
 * Told by their looks, the last chunk of a fastbin passes for a live one where links are plain:
 * its link is 0, as many a first word is. But there is one in every bin that is not empty.
 */
static void count_tails(struct walked *a)
{
	struct glibc_tally *t = a->tally;

	for (unsigned i = 0; i < FASTBIN_CNT; i++) {
		uint64_t size = (i + 2) * 16ULL; /* fastbin_index() in malloc/malloc.c */

		if (!a->arena.fast[i] || !t->f.live.cnt)
			continue;
		blocks_move(&t->f.live, &t->f.fast, size);
		blocks_move(&t->live_step[size_step(size)], &t->free_class[size_class(size)], size);
		t->f.pinned.partial += size;
	}
}

static void finish(struct walked *a)
{
	struct heap_figures *f = &a->tally->f;

	if (a->w->fast.too_many && !a->w->heap->row->safe_linking)
		count_tails(a);
	f->held = a->arena.system_mem;
	if (!a->out->inconsistent && a->tally->walked != f->held)
		fail(a, a->arena.top, "the chunks do not add up to what the arena says that it holds");
	f->retained = f->purgeable + f->pinned.partial + f->pinned.top + f->pinned.overhead;
	a->out->walked = a->tally->walked;
	a->out->threads_known = glibc_counts_threads(a->w->heap);
	a->out->threads = a->arena.attached;
	a->out->f = *f;
}

void glibc_walk_arena(struct glibc_walk *w, uint64_t addr, const struct maps *maps, struct heap_arena *out,
		      struct glibc_tally *tally)
{
	struct glibc_mark mark = glibc_mark(w);

	for (unsigned i = 0; i < ATTEMPTS; i++) {
		struct walked a = {.w = w, .maps = maps, .out = out, .tally = tally};

		*tally = (struct glibc_tally){0};
		*out = (struct heap_arena){.addr = addr, .main = addr == w->heap->main_arena};
		if (out->main)
			snprintf(out->name, sizeof(out->name), "main arena");
		else
			snprintf(out->name, sizeof(out->name), "arena %#" PRIx64, addr);
		glibc_rewind(w, &mark);
		if (glibc_read_arena(w->heap, w->mem, addr, &a.arena) != 0) {
			fail(&a, addr, "the arena or its top is not readable (swapped out, or gone)");
			continue;
		}
		glibc_read_fast(w, &a.arena);
		tally->estimate = w->fast.too_many;
		if (out->main)
			walk_main(&a);
		else
			walk_heaps(&a);
		finish(&a);
		if (!out->inconsistent)
			return;
		w->retries++;
	}
}
