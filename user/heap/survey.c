#include "heap/survey.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "target/memory.h"

#define SLICE 1024 /* blocks looked at before the clock is */

/* Of one page, as far as its holders are known by now. */
struct owner {
	uint32_t site;
	uint16_t known;
	bool mixed; /* of more than one site */
};

struct survey {
	bool busy;
	struct ledger *ledger;
	struct survey_options options;
	uint64_t cursor;
	uint64_t now_ns;
	uint32_t now_tick, walk_tick; /* blocks from ticks behind walk_tick are younger than the walk */
	bool has_walk;
	struct heap_pages pages;
	struct heap_blocks pinned_class[HEAP_CLASS_CNT];
	struct owner *owners; /* one a page */
	uint64_t *dead;       /* addresses that this walk too did not find */
	size_t dead_cnt, dead_cap;
	struct survey_result next, last;
	bool has_last;
};

struct survey *survey_new(void)
{
	return calloc(1, sizeof(struct survey));
}

static void give_up(struct survey *s)
{
	heap_pages_free(&s->pages);
	free(s->owners);
	free(s->dead);
	free(s->next.sites);
	s->owners = NULL;
	s->dead = NULL;
	s->dead_cnt = s->dead_cap = 0;
	s->next = (struct survey_result){.sites = NULL};
	s->busy = false;
}

void survey_free(struct survey *s)
{
	if (!s)
		return;
	give_up(s);
	free(s->last.sites);
	free(s);
}

static uint32_t tick_at(const struct survey *s, uint64_t time_ns)
{
	uint64_t began = ledger_began_ns(s->ledger);

	return time_ns > began ? (uint32_t)((time_ns - began) / BLOCK_TICK_NS) : 0;
}

static void take_walk(struct survey *s, struct heap_walk *walk)
{
	if (!walk || (!walk->pages.cnt && !walk->pages.extent_cnt))
		return;
	s->pages = walk->pages;
	walk->pages = (struct heap_pages){.v = NULL};
	memcpy(s->pinned_class, walk->pinned_class, sizeof(s->pinned_class));
	s->owners = calloc(s->pages.cnt ? s->pages.cnt : 1, sizeof(*s->owners));
	s->has_walk = s->owners != NULL;
	s->next.walked_ns = walk->started_ns;
	s->walk_tick = tick_at(s, walk->started_ns);
}

void survey_begin(struct survey *s, struct ledger *ledger, struct heap_walk *walk, uint64_t now_ns,
		  const struct survey_options *options)
{
	give_up(s);
	s->ledger = ledger;
	s->options = *options;
	s->cursor = 0;
	s->now_ns = now_ns;
	s->now_tick = tick_at(s, now_ns);
	s->has_walk = false;
	s->next.site_cnt = sites_cnt(ledger_sites(ledger));
	s->next.sites = calloc(s->next.site_cnt, sizeof(*s->next.sites));
	if (!s->next.sites)
		return;
	take_walk(s, walk);
	s->busy = true;
}

bool survey_is_busy(const struct survey *s)
{
	return s->busy;
}

static unsigned class_of(uint64_t bytes)
{
	unsigned class = 63 - (unsigned)__builtin_clzll(bytes | 1);

	return class < HEAP_CLASS_CNT ? class : HEAP_CLASS_CNT - 1;
}

/*
 * The chunk's share of what the page holds back, charged to its site and taken from its class;
 * as that of so many chunks, where stacks are sampled.
 */
static void charge(struct survey *s, const struct block *block, const struct heap_page *page,
		   uint64_t chunk_size, uint64_t stands_for)
{
	struct heap_blocks *class = &s->pinned_class[class_of(chunk_size)];
	struct owner *owner;
	uint64_t share;

	if (!page)
		return;
	owner = &s->owners[page - s->pages.v];
	if (owner->known == page->holders) /* more than there can be: the heap has changed since */
		return;
	owner->mixed |= owner->known && owner->site != block->site;
	owner->site = block->site;
	owner->known++;
	share = page->free / page->holders * stands_for;
	s->next.sites[block->site].pinned += share;
	s->next.pinned += share;
	class->bytes -= class->bytes < share ? class->bytes : share;
	class->cnt -= class->cnt < stands_for ? class->cnt : stands_for;
}

static void join_pages(struct survey *s, const struct block *block, uint64_t stands_for)
{
	uint64_t chunk = block->addr - s->pages.header, size = ledger_rounded(s->ledger, block->size);
	const struct heap_page *first = heap_pages_find(&s->pages, chunk);
	const struct heap_page *last = heap_pages_find(&s->pages, chunk + size - 1);

	charge(s, block, first, size, stands_for);
	if (last != first)
		charge(s, block, last, size, stands_for);
}

static void note_dead(struct survey *s, uint64_t addr)
{
	if (s->dead_cnt == s->dead_cap) {
		size_t cap = s->dead_cap ? 2 * s->dead_cap : 256;
		uint64_t *dead = realloc(s->dead, cap * sizeof(*dead));

		if (!dead)
			return;
		s->dead = dead;
		s->dead_cap = cap;
	}
	s->dead[s->dead_cnt++] = addr;
}

static void judge(struct survey *s, struct block *block)
{
	switch (heap_pages_judge(&s->pages, block->addr)) {
	case HEAP_IN_USE:
		block->suspect = 0;
		break;
	case HEAP_DEAD:
		if (block->suspect)
			note_dead(s, block->addr);
		block->suspect = 1;
		break;
	default:
		break;
	}
}

/* Times of events are those of the kernel's last tick: a block may be younger than it says. */
static bool is_surely_older(const struct survey *s, const struct block *block)
{
	return block->tick + 2 < s->walk_tick;
}

/* Whether the walk can have seen the block; of one as old as the walk, whether it did. */
static bool was_there(const struct survey *s, const struct block *block)
{
	if (!s->has_walk || block->tick > s->walk_tick)
		return false;
	return is_surely_older(s, block) || heap_pages_judge(&s->pages, block->addr) != HEAP_DEAD;
}

static void look_at(struct block *block, void *arg)
{
	struct survey *s = arg;
	struct site_count counts = ledger_at_site(s->ledger, block);
	struct site_survey *site;

	if (block->site >= s->next.site_cnt) /* new since the survey began */
		return;
	site = &s->next.sites[block->site];
	if ((uint64_t)(s->now_tick - block->tick) * BLOCK_TICK_NS >= s->options.older_ns &&
	    block->tick <= s->now_tick)
		site_count_add(&site->old, counts);
	if (!was_there(s, block))
		return;
	if (counts.cnt)
		join_pages(s, block, counts.cnt);
	if (s->options.judge_ghosts && is_surely_older(s, block))
		judge(s, block);
}

/* Where sites' live blocks are estimates, some in the table are dead: nobody knows which. */
static void take_alive(struct survey *s)
{
	s->next.pinned = 0;
	for (uint32_t i = 0; i < s->next.site_cnt; i++) {
		struct site_survey *site = &s->next.sites[i];
		double alive = ledger_share_alive(s->ledger, i);

		site->old.cnt = (uint64_t)(alive * (double)site->old.cnt);
		site->old.bytes = (uint64_t)(alive * (double)site->old.bytes);
		site->pinned = (uint64_t)(alive * (double)site->pinned);
		s->next.pinned += site->pinned;
	}
}

/* What is known once every block has been seen: pages of one site alone, and what is nobody's. */
static void conclude(struct survey *s)
{
	uint64_t total = 0;

	for (size_t i = 0; s->has_walk && i < s->pages.cnt; i++) {
		const struct heap_page *page = &s->pages.v[i];
		const struct owner *owner = &s->owners[i];

		total += page->free;
		if (owner->known == page->holders && !owner->mixed && !page->headers)
			s->next.sites[owner->site].alone += page->pages * TARGET_PAGE_SIZE;
	}
	/* Whether a page has other holders is not known where most have no site. */
	for (uint32_t i = 0; ledger_is_sampled(s->ledger) && i < s->next.site_cnt; i++)
		s->next.sites[i].alone = UINT64_MAX;
	take_alive(s);
	s->next.rest.pinned = total > s->next.pinned ? total - s->next.pinned : 0;
	s->next.pinned = total;
	if (s->has_walk)
		memcpy(s->next.rest_class, s->pinned_class, sizeof(s->next.rest_class));
	for (size_t i = 0; i < s->dead_cnt; i++)
		s->next.ghosts += ledger_bury(s->ledger, s->dead[i]);
	free(s->last.sites);
	s->last = s->next;
	s->has_last = true;
	s->next = (struct survey_result){.sites = NULL};
	give_up(s);
}

bool survey_step(struct survey *s, uint64_t budget_ns)
{
	uint64_t began, cpu;
	bool more;

	if (!s->busy)
		return false;
	began = clock_monotonic_ns();
	cpu = clock_thread_cpu_ns();
	do
		more = blocks_scan(ledger_blocks(s->ledger), &s->cursor, SLICE, look_at, s);
	while (more && clock_monotonic_ns() - began < budget_ns);
	s->next.cost_ns += clock_thread_cpu_ns() - cpu;
	if (!more)
		conclude(s);
	return more;
}

const struct survey_result *survey_result(const struct survey *s)
{
	return s->has_last ? &s->last : NULL;
}
