/*
 * One chain of chunks, from a region's first to its top or fence, while the target may go on
 * allocating. Each chunk is classified by the header behind it (PREV_INUSE); runs of free
 * chunks are held against what malloc_trim would do with them.
 *
 * The target is not stopped: where a header makes no sense, or top is passed, the walk goes
 * back to a checkpoint, forgets what it had read, and tries again. Bounded everywhere.
 */
#include <string.h>

#include "heap/glibc_heap.h"

#define CHECKPOINT_CNT 8
#define CHECKPOINT_BYTES (256ULL << 10)
#define RETRY_MAX 40 /* without getting RETRY_PROGRESS further */
#define RETRY_PROGRESS (4ULL << 20)
#define TOP_MOVES_MAX 64
#define PROBE_DEPTH 32 /* chunks that must make sense for a chain to be believed */
#define PROBE_STEPS_MAX (4U << 20)

/* All that a step changes: what a checkpoint holds. */
struct position {
	uint64_t at;              /* the header to be read next */
	uint64_t prev, prev_size; /* the chunk before it, not yet classified; prev 0: none */
	uint64_t prev_fd;         /* its first word, where fast chunks are told by their looks */
	size_t fast_next, tcache_cnt;
	unsigned fences; /* in a row, right before at */
	struct glibc_runs runs;
};

struct walker {
	struct glibc_walk *w;
	struct chain *chain;
	struct position now;
	struct position checkpoint[CHECKPOINT_CNT];
	unsigned checkpoint_cnt, checkpoint_next;
	uint64_t next_checkpoint;
	uint64_t top;   /* 0: this chain has none */
	uint64_t limit; /* no chunk reaches beyond: the end of top, or the chain's own limit */
	uint64_t furthest;
	unsigned retries, top_moves;
};

static bool read_head(struct walker *k, uint64_t chunk, uint64_t *head)
{
	const char *bytes = window_at(&k->w->win, chunk + 8, sizeof(*head));

	if (bytes)
		memcpy(head, bytes, sizeof(*head));
	return bytes != NULL;
}

/*
 * A fast chunk by its looks, where the lists are too long to follow: its link, revealed, leads
 * to a chunk of the same arena. A freed and reused block that still carries its link deceives.
 */
static bool looks_fast(const struct walker *k)
{
	const struct position *now = &k->now;
	uint64_t fd = now->prev_fd;

	if (now->prev_size > CHUNK_FAST_MAX)
		return false;
	if (k->w->heap->row->safe_linking)
		fd ^= (now->prev + 16) >> 12;
	else if (fd == 0)
		return false;
	return fd == 0 || (!(fd & 15) && fd >= k->chain->floor && fd < k->limit);
}

static bool is_fast(struct walker *k)
{
	const struct glibc_fast *fast = &k->w->fast;
	struct position *now = &k->now;

	if (fast->too_many)
		return looks_fast(k);
	while (now->fast_next < fast->cnt && fast->chunk[now->fast_next] < now->prev)
		now->fast_next++;
	return now->fast_next < fast->cnt && fast->chunk[now->fast_next] == now->prev;
}

static void note_tcache(struct walker *k, uint64_t chunk, uint64_t size)
{
	const struct window *win = &k->w->win;

	/* Most blocks of that size are the program's: where the contents are at hand they tell. */
	if (chunk >= win->data_start && chunk + size <= win->data_end &&
	    !glibc_looks_like_tcache(k->w, win->data + (chunk + 16 - win->data_start)))
		return;
	if (k->now.tcache_cnt < TCACHES_MAX)
		k->w->tcaches.chunk[k->now.tcache_cnt++] = chunk;
}

/* The chunk before `at`, now that the header behind it says whether it is in use. */
static void classify(struct walker *k, bool in_use)
{
	uint64_t chunk = k->now.prev, size = k->now.prev_size;

	if (size == CHUNK_FENCE) {
		glibc_runs_overhead(k->w, &k->now.runs, chunk, chunk + size);
		k->now.fences++;
		return;
	}
	k->now.fences = 0;
	if (!in_use) {
		glibc_runs_free(k->w, &k->now.runs, chunk, size, false);
		return;
	}
	if (size <= CHUNK_FAST_MAX && k->w->heap->row->fastbins && is_fast(k)) {
		glibc_runs_free(k->w, &k->now.runs, chunk, size, true);
		return;
	}
	glibc_runs_live(k->w, &k->now.runs, chunk, size);
	if (glibc_may_be_tcache(k->w, size))
		note_tcache(k, chunk, size);
}

/* ---- going back ---- */

static void save_checkpoint(struct walker *k)
{
	k->checkpoint[k->checkpoint_next] = k->now;
	k->checkpoint_next = (k->checkpoint_next + 1) % CHECKPOINT_CNT;
	if (k->checkpoint_cnt < CHECKPOINT_CNT)
		k->checkpoint_cnt++;
	k->next_checkpoint = k->now.at + CHECKPOINT_BYTES;
	if (k->now.at >= k->furthest + RETRY_PROGRESS) {
		k->furthest = k->now.at;
		k->retries = 0;
	}
}

/* Where the chain ends: behind top, if the top is in it. */
static void set_top(struct walker *k, const struct glibc_arena *arena)
{
	uint64_t end = arena->top + arena->top_size;

	k->top = 0;
	k->limit = k->chain->limit;
	if (arena->top >= k->chain->start && end > arena->top && end <= k->chain->limit) {
		k->top = arena->top;
		k->limit = end;
	}
	k->w->win.limit = k->limit;
}

static void refresh_top(struct walker *k)
{
	struct glibc_arena fresh;

	window_drop(&k->w->win);
	if (!k->chain->heap_end && glibc_read_arena(k->w->heap, k->w->mem, k->chain->arena, &fresh) == 0)
		set_top(k, &fresh);
}

/* What was recorded of pages and blocks behind where the walk goes on. */
static void forget_ahead(struct walker *k)
{
	if (!k->w->pages)
		return;
	heap_pages_truncate(k->w->pages, k->now.runs.holders.page_cnt, k->w->pages->extent_cnt);
	heap_pages_cut(k->w->pages, k->now.prev ? k->now.prev : k->now.at);
	heap_pages_doubt(k->w->pages);
}

/* One to three checkpoints back, further with each try; false when it is time to give up. */
static bool go_back(struct walker *k)
{
	unsigned back = 1 + k->retries % 3;
	bool estimate = k->now.runs.tally.estimate;

	if (k->retries >= RETRY_MAX || !k->checkpoint_cnt)
		return false;
	k->retries++;
	k->w->retries++;
	if (back > k->checkpoint_cnt)
		back = k->checkpoint_cnt;
	k->checkpoint_cnt -= back - 1;
	k->checkpoint_next = (k->checkpoint_next + CHECKPOINT_CNT - (back - 1)) % CHECKPOINT_CNT;
	k->now = k->checkpoint[(k->checkpoint_next + CHECKPOINT_CNT - 1) % CHECKPOINT_CNT];
	k->now.runs.tally.estimate = estimate;
	forget_ahead(k);
	k->next_checkpoint = k->now.at + CHECKPOINT_BYTES;
	refresh_top(k);
	return true;
}

/* A header on a swapped page cannot be read: go on behind it, all between counts as one live block. */
static bool skip_swapped(struct walker *k)
{
	uint64_t from = align_down(k->now.at, TARGET_PAGE_SIZE);
	uint64_t lost = k->now.prev ? k->now.prev : k->now.at, next;

	if (!(window_state(&k->w->win, k->now.at) & PAGE_SWAPPED))
		return false;
	next = glibc_find_chain(k->w, from + TARGET_PAGE_SIZE, k->limit, k->top);
	if (!next)
		return false;
	glibc_runs_live(k->w, &k->now.runs, lost, next - lost);
	if (k->w->pages)
		heap_pages_doubt(k->w->pages);
	k->now.runs.tally.estimate = true;
	k->now.at = next;
	k->now.prev = 0;
	k->next_checkpoint = next;
	return true;
}

static enum chain_end broken(struct walker *k, const char *why)
{
	uint64_t at = k->now.at < k->limit ? k->now.at : k->limit;

	glibc_runs_end(k->w, &k->now.runs, at);
	k->chain->end = at;
	k->chain->broken = why;
	return CHAIN_BROKEN;
}

/* ---- ends ---- */

static enum chain_end end_at_top(struct walker *k, const struct glibc_arena *arena)
{
	uint64_t end = arena->top + arena->top_size;

	glibc_runs_top(k->w, &k->now.runs, arena->top, arena->top_size, k->chain->trims_top);
	glibc_runs_end(k->w, &k->now.runs, end);
	k->chain->at_top = *arena;
	k->chain->end = end;
	return CHAIN_TOP;
}

/* An older heap of a non-main arena ends at a header of size 0: sysmalloc() in malloc/malloc.c. */
static bool ends_heap(const struct walker *k, uint64_t head)
{
	return k->chain->heap_end && !(head & ~CHUNK_FLAGS) && k->now.at == k->limit - CHUNK_FENCE;
}

/* The chunk before that header is part of the fence. */
static enum chain_end end_of_heap(struct walker *k)
{
	if (k->now.prev)
		glibc_runs_overhead(k->w, &k->now.runs, k->now.prev, k->now.at);
	glibc_runs_overhead(k->w, &k->now.runs, k->now.at, k->limit);
	glibc_runs_end(k->w, &k->now.runs, k->limit);
	k->chain->end = k->limit;
	return CHAIN_FENCE;
}

/* Two fenceposts up to a page's end close a region of the main arena: sysmalloc() in malloc/malloc.c. */
static bool ends_region(const struct walker *k)
{
	return k->chain->main && k->now.fences >= 1 && k->now.prev_size == CHUNK_FENCE &&
	       !(k->now.at & (TARGET_PAGE_SIZE - 1)) && k->now.at != k->top;
}

static enum chain_end end_of_region(struct walker *k)
{
	classify(k, true);
	glibc_runs_end(k->w, &k->now.runs, k->now.at);
	k->chain->end = k->now.at;
	return CHAIN_FENCE;
}

static const char *fault_of(const struct walker *k, uint64_t head)
{
	uint64_t size = head & ~CHUNK_FLAGS;

	if (size & 15)
		return "a chunk's size is no multiple of 16";
	if (size < CHUNK_FENCE)
		return "a chunk has no size";
	if (head & CHUNK_IS_MMAPPED)
		return "a chunk in the heap says that it is mmapped";
	if (size > k->limit - k->now.at)
		return "a chunk reaches beyond its heap";
	if (k->top && k->now.at < k->top && k->now.at + size > k->top)
		return "a chunk reaches beyond top";
	return NULL;
}

/*
 * `at` is where top was when last looked at. It may have moved on since: then the walk goes on
 * with it, a bounded number of times, and at last takes what lies ahead for the top.
 */
static bool step_top(struct walker *k, uint64_t head, enum chain_end *end)
{
	struct glibc_arena fresh;

	if (glibc_read_arena(k->w->heap, k->w->mem, k->chain->arena, &fresh) == 0) {
		set_top(k, &fresh);
		if (k->top > k->now.at && k->top_moves < TOP_MOVES_MAX) {
			k->top_moves++;
			k->w->retries++;
			window_drop(&k->w->win);
			return false;
		}
		if (k->top >= k->now.at) {
			fresh.top_size = k->limit - k->now.at;
			fresh.top = k->now.at;
			if (k->now.prev)
				classify(k, head & CHUNK_PREV_INUSE);
			*end = end_at_top(k, &fresh);
			return true;
		}
	}
	if (go_back(k))
		return false;
	*end = broken(k, "top does not stand still");
	return true;
}

static void advance(struct walker *k, uint64_t head)
{
	struct position *now = &k->now;

	if (now->prev)
		classify(k, head & CHUNK_PREV_INUSE);
	if (k->w->fast.too_many) {
		const char *user = window_at(&k->w->win, now->at + 16, 8);

		now->prev_fd = 1; /* leads nowhere */
		if (user)
			memcpy(&now->prev_fd, user, sizeof(now->prev_fd));
	}
	now->prev = now->at;
	now->prev_size = head & ~CHUNK_FLAGS;
	now->at += now->prev_size;
}

/* One header. True: the walk has ended, *end says how. */
static bool step(struct walker *k, enum chain_end *end)
{
	struct position *now = &k->now;
	const char *fault = NULL;
	uint64_t head = 0;

	if (now->at >= k->next_checkpoint)
		save_checkpoint(k);
	if (ends_region(k)) {
		*end = end_of_region(k);
		return true;
	}
	if (now->at >= k->limit)
		fault = "the chunks end before top";
	else if (k->top && now->at > k->top)
		fault = "the chunks pass top";
	else if (!read_head(k, now->at, &head))
		fault = "a chunk's header lies on a page that is not in RAM";
	else if (now->at == k->top)
		return step_top(k, head, end);
	else if (ends_heap(k, head)) {
		*end = end_of_heap(k);
		return true;
	} else {
		fault = fault_of(k, head);
	}
	if (!fault) {
		advance(k, head);
		return false;
	}
	if (skip_swapped(k) || go_back(k))
		return false;
	*end = broken(k, fault);
	return true;
}

static size_t first_fast(const struct glibc_fast *fast, uint64_t start)
{
	size_t low = 0, high = fast->cnt;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (fast->chunk[mid] < start)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

enum chain_end glibc_walk_chain(struct glibc_walk *w, struct chain *chain, struct glibc_tally *tally)
{
	struct walker k = {
		.w = w,
		.chain = chain,
		.next_checkpoint = chain->start,
		.furthest = chain->start,
	};
	enum chain_end end = CHAIN_BROKEN;

	k.now.at = chain->start;
	k.now.fast_next = first_fast(&w->fast, chain->start);
	k.now.tcache_cnt = w->tcaches.cnt;
	glibc_runs_begin(&k.now.runs, chain->floor, chain->huge, tally);
	k.limit = w->win.limit = chain->limit;
	refresh_top(&k);
	if (chain->start > chain->floor)
		glibc_runs_overhead(w, &k.now.runs, chain->floor, chain->start);
	if (w->pages) {
		k.now.runs.holders.page_cnt = w->pages->cnt;
		heap_pages_begin_extent(w->pages, chain->start);
		if (w->fast.too_many)
			heap_pages_doubt(w->pages);
	}
	while (!step(&k, &end))
		;
	if (w->pages)
		heap_pages_cut(w->pages, chain->end);
	*tally = k.now.runs.tally;
	tally->walked += chain->end - chain->floor;
	w->tcaches.cnt = k.now.tcache_cnt;
	return end;
}

/* Whether PROBE_DEPTH chunks from addr on make sense, or all up to top. */
static bool is_chain(struct glibc_walk *w, uint64_t addr, uint64_t limit, uint64_t top, unsigned *steps)
{
	uint64_t size = 0;

	for (unsigned i = 0; i < PROBE_DEPTH; i++) {
		const char *bytes = window_at(&w->win, addr + 8, 8);
		uint64_t head, prev_size;

		(*steps)++;
		if (!bytes)
			return false;
		memcpy(&head, bytes, sizeof(head));
		if (i == 0 && !(head & CHUNK_PREV_INUSE))
			return false;
		if (i > 0 && !(head & CHUNK_PREV_INUSE)) {
			bytes = window_at(&w->win, addr, 8);
			if (!bytes)
				return false;
			memcpy(&prev_size, bytes, sizeof(prev_size));
			if (prev_size != size)
				return false;
		}
		if (addr == top)
			return true;
		size = head & ~CHUNK_FLAGS;
		if (i > 0 && size == CHUNK_FENCE)
			return true;
		if (size & 15 || size < CHUNK_MIN || head & CHUNK_IS_MMAPPED || size > limit - addr)
			return false;
		addr += size;
		if (addr == limit)
			return false;
	}
	return true;
}

bool glibc_is_chain(struct glibc_walk *w, uint64_t addr, uint64_t limit, uint64_t top)
{
	unsigned steps = 0;

	return is_chain(w, addr, limit, top, &steps);
}

uint64_t glibc_find_chain(struct glibc_walk *w, uint64_t from, uint64_t limit, uint64_t top)
{
	unsigned steps = 0;

	for (uint64_t at = align_up(from, 16); at < limit && steps < PROBE_STEPS_MAX;) {
		if (!(window_state(&w->win, at) & PAGE_PRESENT)) {
			at = align_down(at, TARGET_PAGE_SIZE) + TARGET_PAGE_SIZE;
			steps++;
			continue;
		}
		if (is_chain(w, at, limit, top, &steps))
			return at;
		at += 16;
	}
	return 0;
}
