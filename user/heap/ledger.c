#include "heap/ledger.h"

#include <stdlib.h>
#include <string.h>

#include "heap/ledger_book.h"
#include "heap/sampling.h"

#define THREADS_MAX 4096 /* remembered at once; beyond, those with nothing under way are forgotten */

struct ledger *ledger_new(const struct ledger_options *options)
{
	struct ledger *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->options = *options;
	l->mean = options->sample_bytes;
	l->free_mean = options->free_sample_bytes;
	l->blocks = blocks_new(options->max_memory);
	l->sites = sites_new();
	l->before = before_new();
	if (l->blocks && l->sites && l->before)
		return l;
	ledger_free(l);
	return NULL;
}

static void forget_threads(struct ledger *l, bool all)
{
	struct map kept = {.slots = NULL};

	for (size_t i = 0; i < l->threads.cap; i++) {
		struct thread *t = l->threads.slots[i].value;

		if (!t)
			continue;
		if (all || !t->reallocating || map_set(&kept, l->threads.slots[i].key, t))
			free(t);
	}
	map_free(&l->threads);
	l->threads = kept;
	l->last_thread = NULL;
}

void ledger_limit(struct ledger *l, uint64_t max_memory)
{
	blocks_limit(l->blocks, max_memory);
}

void ledger_free(struct ledger *l)
{
	if (!l)
		return;
	forget_threads(l, true);
	map_free(&l->threads);
	cells_free(l->cells);
	before_free(l->before);
	sites_free(l->sites);
	blocks_free(l->blocks);
	free(l);
}

static struct thread *thread_of(struct ledger *l, uint32_t tid)
{
	struct thread *t;

	if (l->last_thread && l->last_tid == tid)
		return l->last_thread;
	t = map_get(&l->threads, tid);
	if (!t) {
		if (l->threads.cnt >= THREADS_MAX)
			forget_threads(l, false);
		t = calloc(1, sizeof(*t));
		if (!t || map_set(&l->threads, tid, t)) {
			free(t);
			return NULL;
		}
	}
	l->last_tid = tid;
	l->last_thread = t;
	return t;
}

static void count(struct site_count *c, uint64_t bytes)
{
	c->cnt++;
	c->bytes += bytes;
}

static void discount(struct site_count *c, uint64_t bytes)
{
	c->cnt--;
	c->bytes -= bytes;
}

static void subtract(struct site_count *c, struct site_count less)
{
	c->cnt -= less.cnt;
	c->bytes -= less.bytes;
}

struct site_count ledger_at_site(const struct ledger *l, const struct block *block)
{
	if (block->weight != BLOCK_AS_SAMPLED)
		return cells_at_site(l->cells, block);
	if (!l->options.sample_bytes)
		return (struct site_count){1, block->size};
	if (!block->site)
		return (struct site_count){0};
	return sampling_count(sampling_scale(l->options.sample_bytes, block->size), block->size, block->addr);
}

bool ledger_is_sampled(const struct ledger *l)
{
	return l->options.sample_bytes || l->cells;
}

/*
 * What a free counts at the site that made it. Of a realloc the stack is that of its
 * allocation. Where the size was known by an allocation that is lost to us, nobody can tell
 * what the sample stands for: it counts as one.
 */
static struct site_count at_free(const struct ledger *l, const struct event_block *ev, uint64_t bytes,
				 bool known)
{
	uint64_t mean = l->free_mean;

	if (!mean || ev->head.kind == EVENT_REALLOC)
		return (struct site_count){1, bytes};
	if (!ev->stack)
		return (struct site_count){0};
	if (ev->size != EVENT_SIZE_KNOWN)
		return sampling_count(sampling_scale_free(mean, ev->size), bytes, ev->addr);
	return known ? sampling_count(sampling_scale(mean, bytes), bytes, ev->addr)
		     : (struct site_count){1, bytes};
}

/* Before a site's live changes: what it was at the peak, if the peak has risen since it last did. */
static void keep_peak(const struct ledger *l, struct site *site)
{
	if (site->peak_number == l->peak_number)
		return;
	site->seen_at_peak = site->live;
	site->peak_number = l->peak_number;
}

struct site_count ledger_seen_at_peak(const struct ledger *l, const struct site *site)
{
	return site->peak_number == l->peak_number ? site->seen_at_peak : site->live;
}

static void round_live(struct ledger *l, uint64_t size, bool comes)
{
	if (!l->rounded || l->totals.live_rounded == UINT64_MAX)
		return;
	size = l->rounded(size);
	l->totals.live_rounded += comes ? size : -size;
}

static void enters(struct ledger *l, const struct block *block, uint64_t time)
{
	struct site *site = sites_at(l->sites, block->site);

	keep_peak(l, site);
	site_count_add(&site->live, ledger_at_site(l, block));
	count(&l->totals.live, block->size);
	round_live(l, block->size, true);
	if (l->totals.live.bytes > l->totals.peak.bytes) {
		l->totals.peak = l->totals.live;
		l->totals.peak_ns = time;
		l->peak_number++;
	}
}

static void leaves(struct ledger *l, const struct block *block, enum cells_leave why)
{
	struct site *site = sites_at(l->sites, block->site);
	struct site_count counts = ledger_at_site(l, block);

	keep_peak(l, site);
	subtract(&site->live, counts);
	if (l->cells)
		cells_left(l->cells, block, counts, why);
	discount(&l->totals.live, block->size);
	round_live(l, block->size, false);
}

uint32_t ledger_tick(const struct ledger *l, uint64_t time)
{
	return time > l->options.began_ns ? (uint32_t)((time - l->options.began_ns) / BLOCK_TICK_NS) : 0;
}

static bool sees_all(const struct ledger *l)
{
	return !l->cells || cells_see_all(l->cells);
}

/* Puts a block into the table; false: there was no room. */
static bool track(struct ledger *l, const struct block *block, uint64_t time)
{
	struct block replaced;
	int rc = blocks_add(l->blocks, block, &replaced);

	if (rc < 0) {
		count(&l->totals.untracked, block->size);
		return false;
	}
	if (rc) {
		leaves(l, &replaced, CELLS_REPLACED);
		count(&l->totals.ghosts, replaced.size);
	}
	enters(l, block, time);
	return true;
}

static void allocated(struct ledger *l, struct thread *t, const struct event_block *ev)
{
	struct block block = {
		.addr = ev->addr,
		.size = ev->size,
		.site = sites_get(l->sites, ev->stack),
		.tick = ledger_tick(l, ev->head.time),
	};
	bool tracked;

	if (ev->size < l->options.size_min || ev->size > l->options.size_max)
		return;
	if (l->cells)
		cells_weigh(l->cells, &block);
	site_count_add(&sites_at(l->sites, block.site)->allocated, ledger_at_site(l, &block));
	count(&l->totals.allocated, block.size);
	tracked = track(l, &block, ev->head.time);
	if (l->cells)
		before_left(l->before, block.addr, COHORT_REPLACED, sees_all(l));
	if (l->cells)
		cells_born(l->cells, &block, ledger_at_site(l, &block), tracked);
	if (tracked)
		t->last = block.addr;
}

static void freed_here(struct ledger *l, const struct event_block *by, struct site_count counts)
{
	uint32_t number = sites_get(l->sites, by->stack);

	site_count_add(&sites_at(l->sites, number)->freed_here, counts);
	if (l->cells)
		cells_freed_here(l->cells, number, counts);
}

/* A known block is freed, by the stack of that event. */
static void freed(struct ledger *l, const struct block *block, const struct event_block *by, bool temporary)
{
	struct site *site = sites_at(l->sites, block->site);

	leaves(l, block, temporary ? CELLS_TEMPORARY : CELLS_FREED);
	if (l->cells)
		before_left(l->before, block->addr, COHORT_DIED, sees_all(l));
	site_count_add(&site->freed, ledger_at_site(l, block));
	if (temporary) {
		site_count_add(&site->temporary, ledger_at_site(l, block));
		count(&l->totals.temporary, block->size);
	}
	freed_here(l, by, at_free(l, by, block->size, true));
	count(&l->totals.freed, block->size);
}

static void freed_unknown(struct ledger *l, uint64_t addr, uint64_t usable, const struct event_block *by)
{
	before_left(l->before, addr, COHORT_DIED, sees_all(l));
	freed_here(l, by, at_free(l, by, usable, false));
	count(&l->totals.freed, usable);
	count(&l->totals.freed_before, usable);
}

/*
 * The call has left the old block alone, or its end never came (its record was lost, the
 * thread ended or jumped out of it): then nobody knows, and it comes back suspect, so that
 * too much is called live rather than too little until a walk or a new block there tells.
 */
static void restore(struct ledger *l, struct thread *t, bool suspect)
{
	struct block replaced;

	t->reallocating = false;
	if (!t->known)
		return;
	t->block.suspect = suspect;
	if (blocks_find(l->blocks, t->block.addr) || blocks_add(l->blocks, &t->block, &replaced)) {
		leaves(l, &t->block, CELLS_BURIED);
		count(&l->totals.ghosts, t->block.size);
	}
}

static uint64_t usable(const struct allocator *allocator, uint64_t header)
{
	bool is_header = header && header != EVENT_SIZE_KNOWN;

	return allocator && allocator->usable && is_header ? allocator->usable(header) : 0;
}

static void on_alloc(struct ledger *l, struct thread *t, const struct event_block *ev)
{
	if (ev->addr)
		allocated(l, t, ev);
	else
		l->totals.failed++;
}

/* What the allocator itself frees was booked when the program freed it, unless that record was lost. */
static void on_free(struct ledger *l, const struct event_block *ev, const struct allocator *allocator,
		    uint64_t last, uint64_t own)
{
	struct block block;

	if (blocks_remove(l->blocks, ev->addr, &block))
		freed(l, &block, ev, ev->addr == last);
	else if (ev->addr != own)
		freed_unknown(l, ev->addr, usable(allocator, ev->size), ev);
}

static void on_realloc_begin(struct ledger *l, struct thread *t, const struct event_block *ev,
			     const struct allocator *allocator)
{
	t->reallocating = true;
	t->begin = *ev;
	t->known = blocks_remove(l->blocks, ev->addr, &t->block);
	t->usable = usable(allocator, ev->size);
}

/* What became of the old block, once the call has succeeded. */
static void old_freed(struct ledger *l, struct thread *t, const struct event_block *ev)
{
	t->reallocating = false;
	if (l->mean) /* the old block's own sample */
		ev = &t->begin;
	if (t->known)
		freed(l, &t->block, ev, false);
	else
		freed_unknown(l, t->begin.addr, t->usable, ev);
}

static void on_realloc(struct ledger *l, struct thread *t, const struct event_block *ev,
		       enum realloc_null on_null)
{
	bool was = t->reallocating;

	if (ev->addr) {
		if (was)
			old_freed(l, t, ev);
		allocated(l, t, ev);
	} else if (on_null == REALLOC_FREES || (on_null == REALLOC_FREES_ZERO && !ev->size)) {
		if (was)
			old_freed(l, t, ev);
		l->totals.failed += ev->size != 0;
	} else {
		l->totals.failed++;
		if (was)
			restore(l, t, false);
	}
}

static void book(struct ledger *l, const struct waiting *w)
{
	const struct event_block *block = &w->block;
	struct thread *t = thread_of(l, block->head.tid);
	uint64_t last, own;

	if (!t)
		return;
	last = t->last;
	own = t->own;
	t->last = t->own = 0;
	l->totals.events++;
	if (w->allocator && w->allocator->rounded)
		l->rounded = w->allocator->rounded;
	else
		l->totals.live_rounded = UINT64_MAX;
	if (t->reallocating && block->head.kind != EVENT_REALLOC)
		restore(l, t, true);
	switch (block->head.kind) {
	case EVENT_ALLOC:
		on_alloc(l, t, block);
		break;
	case EVENT_FREE:
		on_free(l, block, w->allocator, last, own);
		break;
	case EVENT_FREE_OWN:
		t->own = block->addr;
		break;
	case EVENT_REALLOC_BEGIN:
		on_realloc_begin(l, t, block, w->allocator);
		break;
	case EVENT_REALLOC:
		on_realloc(l, t, block, w->on_null);
		break;
	default:
		break;
	}
}

/* Who looks at the figures sees every event that came before. */
void ledger_book_all(struct ledger *l)
{
	uint64_t first = l->arrived > AHEAD ? l->arrived - AHEAD : 0;

	for (uint64_t i = first; i < l->arrived; i++)
		book(l, &l->waiting[i % AHEAD]);
	l->arrived = 0;
}

void ledger_event(struct ledger *l, const struct event *ev, uint64_t stack, const struct allocator *allocator,
		  enum realloc_null on_null)
{
	struct waiting *w = &l->waiting[l->arrived % AHEAD];

	if (l->arrived++ >= AHEAD)
		book(l, w);
	*w = (struct waiting){.block = *ev->block, .allocator = allocator, .on_null = on_null};
	w->block.stack = stack;
	blocks_prefetch(l->blocks, w->block.addr);
}

void ledger_exec(struct ledger *l)
{
	ledger_book_all(l);
	if (l->cells)
		cells_exec(l->cells);
	before_exec(l->before);
	forget_threads(l, true);
	blocks_clear(l->blocks);
	for (uint32_t i = 0; i < sites_cnt(l->sites); i++) {
		struct site *site = sites_at(l->sites, i);

		keep_peak(l, site);
		site->live = (struct site_count){0};
	}
	l->totals.live = (struct site_count){0};
	l->totals.live_rounded = 0;
	l->rounded = NULL;
}

const struct ledger_totals *ledger_totals(struct ledger *l)
{
	ledger_book_all(l);
	return &l->totals;
}

struct sites *ledger_sites(struct ledger *l)
{
	ledger_book_all(l);
	return l->sites;
}

struct blocks *ledger_blocks(struct ledger *l)
{
	ledger_book_all(l);
	return l->blocks;
}

uint64_t ledger_rounded(const struct ledger *l, uint64_t size)
{
	return l->rounded ? l->rounded(size) : size;
}

uint64_t ledger_began_ns(const struct ledger *l)
{
	return l->options.began_ns;
}

bool ledger_bury(struct ledger *l, uint64_t addr)
{
	struct block block;

	ledger_book_all(l);
	if (!blocks_remove(l->blocks, addr, &block))
		return false;
	leaves(l, &block, CELLS_BURIED);
	count(&l->totals.ghosts, block.size);
	return true;
}
