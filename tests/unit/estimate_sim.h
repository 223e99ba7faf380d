/*
 * A process whose allocations are known, and cells that see some of it: drives a ledger as the ring would.
 * Time is the process's own; in a cell that is on each record costs time of the clock, so that it gets on less.
 */
#ifndef ALLOCTRACE_TESTS_ESTIMATE_SIM_H
#define ALLOCTRACE_TESTS_ESTIMATE_SIM_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "heap/ledger.h"

#define SIM_SITES 128
#define SIM_BLOCKS (1 << 19)
#define SIM_SLOT_NS 100000.0 /* of deaths */
#define SIM_SLOTS (1 << 18)
#define SIM_CLASSES 64
#define SIM_BEGAN NSEC_PER_SEC
#define SIM_TICK_NS 4000000

struct sim_site {
	struct site_count allocated, freed, live, freed_here;
};

struct sim_block {
	uint64_t addr;
	uint32_t size, site, next, era;
	bool live;
};

struct sim {
	uint64_t random;
	struct ledger *ledger;
	double own, clock; /* ns */
	/* Of cells. */
	double chance, cell_clock, hit_cost, cell_own; /* cell_own: what one takes of own time, lately */
	double coin_own; /* … when the last coins fell */
	uint64_t quota, mean;
	bool on, sure, will_be_sure;
	double began_own, began_clock, off_until, gap_own;
	uint64_t hits, number;
	/* The heap: a block that was freed is the next of its size. */
	struct sim_block *blocks;
	uint32_t block_cnt, free_block;
	uint64_t *free_lists[SIM_CLASSES];
	uint32_t free_cnt[SIM_CLASSES];
	uint64_t top;
	double reuse; /* how often a freed address is the next of its size */
	uint32_t *slots; /* blocks by the time of their death */
	uint32_t slot;
	struct sim_site sites[SIM_SITES], all;
	struct heap_blocks live[STEP_CNT]; /* as a walk counts them */
	bool watched; /* the attach has been */
	uint32_t era; /* of blocks: before it, or since */
};

static uint64_t sim_usable(uint64_t header)
{
	return header;
}

static uint64_t sim_rounded(uint64_t size)
{
	return (size + 8 + 15) / 16 * 16;
}

static const struct allocator sim_allocator = {.name = "simulated", .usable = sim_usable, .rounded = sim_rounded};

static uint64_t sim_random(struct sim *s)
{
	uint64_t z = s->random += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

static double sim_uniform(struct sim *s)
{
	return ((double)(sim_random(s) >> 11) + 0.5) * 0x1p-53;
}

static double sim_exponential(struct sim *s, double mean)
{
	return -mean * log(sim_uniform(s));
}

static uint64_t sim_time(const struct sim *s)
{
	return SIM_BEGAN + (uint64_t)s->clock;
}

static void sim_cell(struct sim *s, enum cell_state state, double progress)
{
	const struct event_cell cell = {
		.head = {.kind = EVENT_CELL, .tgid = 1, .time = sim_time(s)},
		.number = s->number,
		.chance = s->sure ? CELL_SURE : (uint64_t)(s->chance * 0x1p32),
		.sample_bytes = s->mean,
		.progress = (uint64_t)progress,
		.cpu = state == CELL_BEGIN ? (uint64_t)s->coin_own : (uint64_t)(s->clock - s->began_clock),
		.state = state,
	};

	if (s->watched)
		ledger_cell(s->ledger, &cell);
}

static void sim_open(struct sim *s)
{
	s->sure = s->will_be_sure;
	s->number++;
	s->on = true;
	s->hits = 0;
	sim_cell(s, CELL_BEGIN, s->own - s->gap_own);
	s->began_own = s->own;
	s->began_clock = s->clock;
}

static void sim_toss(struct sim *s)
{
	double cnt = floor(log(sim_uniform(s)) / log1p(-s->chance));

	s->coin_own = s->cell_own;
	s->off_until = s->will_be_sure ? s->own : s->own + cnt * s->cell_own;
}

static void sim_close(struct sim *s, enum cell_state state)
{
	sim_cell(s, state, s->own - s->began_own);
	s->gap_own = s->own;
	s->on = false;
	if (!s->sure)
		s->cell_own += (s->own - s->began_own - s->cell_own) / 8;
	sim_toss(s);
}

/* Own time goes on. */
static void sim_pass(struct sim *s, double own)
{
	double until = s->own + own;

	for (;;) {
		double left = until - s->own, go;

		if (s->on) {
			if (s->sure && s->will_be_sure)
				go = left;
			else
				go = fmax(s->began_clock + s->cell_clock - s->clock, 0);
		} else {
			go = fmax(s->off_until - s->own, 0);
		}
		if (go >= left) {
			s->own = until;
			s->clock += left;
			return;
		}
		s->own += go;
		s->clock += go;
		if (s->on)
			sim_close(s, CELL_END);
		else
			sim_open(s);
	}
}

static void sim_say(struct sim *s, uint32_t kind, uint64_t addr, uint64_t size, uint32_t site, uint32_t tid)
{
	struct event_block block = {
		.head = {.kind = kind, .tid = tid, .tgid = 1, .time = sim_time(s) / SIM_TICK_NS * SIM_TICK_NS},
		.addr = addr,
		.size = size,
		.stack = site + 1,
	};
	const struct event ev = {.head = &block.head, .block = &block};

	if (!s->on || !s->watched)
		return;
	if (s->mean && kind == EVENT_ALLOC && sim_uniform(s) >= -expm1(-(double)size / (double)s->mean))
		block.stack = 0;
	ledger_event(s->ledger, &ev, block.stack, &sim_allocator, REALLOC_FREES_ZERO);
	s->clock += s->hit_cost;
	if (!s->sure && ++s->hits >= s->quota)
		sim_close(s, CELL_END);
}

static void sim_count(struct site_count *c, uint64_t cnt, uint64_t bytes)
{
	c->cnt += cnt;
	c->bytes += bytes;
}

static unsigned sim_class(uint32_t size)
{
	return size / 16 < SIM_CLASSES ? size / 16 : SIM_CLASSES - 1;
}

static void sim_count_live(struct sim *s, uint32_t size, uint64_t cnt)
{
	struct heap_blocks *live = &s->live[size_step(sim_rounded(size))];

	live->cnt += cnt;
	live->bytes += cnt * sim_rounded(size);
}

/* The block's number; it dies in so much own time, or never. */
static uint32_t sim_alloc(struct sim *s, uint32_t site, uint32_t size, double life)
{
	unsigned class = sim_class(size);
	uint32_t n = s->free_block;
	struct sim_block *b;

	if (n) {
		s->free_block = s->blocks[n].next;
	} else {
		n = s->block_cnt++;
		if (n >= SIM_BLOCKS)
			abort();
	}
	b = &s->blocks[n];
	*b = (struct sim_block){.size = size, .site = site, .era = s->era, .live = true};
	if (s->free_cnt[class] && sim_uniform(s) < s->reuse) {
		b->addr = s->free_lists[class][--s->free_cnt[class]];
	} else {
		s->top += 16 * (class + 2);
		b->addr = s->top;
	}
	if (isfinite(life) && (s->own + life) / SIM_SLOT_NS < SIM_SLOTS) {
		uint32_t at = (uint32_t)((s->own + life) / SIM_SLOT_NS);
		uint32_t *slot = &s->slots[at > s->slot ? at : s->slot]; /* that one has not been yet */

		b->next = *slot;
		*slot = n;
	}
	sim_count(&s->sites[site].allocated, 1, size);
	sim_count(&s->sites[site].live, 1, size);
	sim_count_live(s, size, 1);
	sim_say(s, EVENT_ALLOC, b->addr, size, site, 1 + sim_random(s) % 4);
	return n;
}

static void sim_free(struct sim *s, uint32_t n, uint32_t by)
{
	struct sim_block *b = &s->blocks[n];
	unsigned class = sim_class(b->size);

	sim_say(s, EVENT_FREE, b->addr, b->size, by, 1 + sim_random(s) % 4);
	s->free_lists[class] = realloc(s->free_lists[class], (s->free_cnt[class] + 1) * sizeof(uint64_t));
	s->free_lists[class][s->free_cnt[class]++] = b->addr;
	if (b->era == s->era) {
		sim_count(&s->sites[b->site].freed, 1, b->size);
		sim_count(&s->sites[b->site].live, -1ULL, -(uint64_t)b->size);
	}
	sim_count(&s->sites[by].freed_here, 1, b->size);
	sim_count_live(s, b->size, -1ULL);
	b->live = false;
	b->next = s->free_block;
	s->free_block = n;
}

/* Those whose time has come die. */
static void sim_reap(struct sim *s)
{
	uint32_t now = (uint32_t)(s->own / SIM_SLOT_NS);

	for (; s->slot <= now && s->slot < SIM_SLOTS; s->slot++) {
		while (s->slots[s->slot]) {
			uint32_t n = s->slots[s->slot];

			s->slots[s->slot] = s->blocks[n].next;
			sim_free(s, n, s->blocks[n].site);
		}
	}
}

/* A walk: finds which of the tracked addresses are free, and what is live. */
static void sim_walk(struct sim *s)
{
	struct heap_pages pages = {.v = NULL};

	heap_pages_begin_extent(&pages, 0x10000);
	for (uint32_t n = 1; n < s->block_cnt; n++)
		if (s->blocks[n].live)
			heap_pages_mark(&pages, s->blocks[n].addr, sim_rounded(s->blocks[n].size));
	heap_pages_cut(&pages, s->top + 16);
	heap_pages_finish(&pages);
	for (int c = 0; c < SIM_CLASSES; c++)
		for (uint32_t i = 0; i < s->free_cnt[c]; i++)
			ledger_bury(s->ledger, s->free_lists[c][i]);
	ledger_walked(s->ledger, s->live, &pages);
	heap_pages_free(&pages);
}

/* The attach: what has been is not counted. */
static void sim_attach(struct sim *s)
{
	s->watched = true;
	s->gap_own = s->own;
	memset(s->sites, 0, sizeof(s->sites));
	s->era++;
	sim_walk(s);
}

static struct sim *sim_new(uint64_t seed, double chance, double cell_clock)
{
	struct sim *s = calloc(1, sizeof(*s));

	s->random = seed * 0x2545f4914f6cdd1dULL;
	s->blocks = calloc(SIM_BLOCKS, sizeof(*s->blocks));
	s->slots = calloc(SIM_SLOTS, sizeof(*s->slots));
	s->block_cnt = 1;
	s->chance = chance;
	s->cell_clock = cell_clock;
	s->cell_own = cell_clock / 2;
	s->hit_cost = 5000;
	s->quota = UINT64_MAX;
	s->reuse = 1;
	s->top = 0x10000;
	s->ledger = ledger_new(&(struct ledger_options){.max_memory = GIB, .size_max = UINT64_MAX, .began_ns = SIM_BEGAN});
	sim_toss(s);
	return s;
}

static void sim_delete(struct sim *s)
{
	ledger_free(s->ledger);
	for (int c = 0; c < SIM_CLASSES; c++)
		free(s->free_lists[c]);
	free(s->blocks);
	free(s->slots);
	free(s);
}

#endif
