#include "picture/history.h"

#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "picture/history_points.h"

#define SITES_KEPT SITES_MAX /* what is beyond has no stack */

/* A site, known by its frames: numbers differ from one snapshot of a sum to the next. */
struct known_site {
	struct stack *stack;        /* a copy; NULL: without */
	uint32_t same_hash;         /* the next one; 0: none (site 0 has no stack, and no hash) */
	uint32_t at;                /* the change that was written last for it */
	struct history_change seen; /* its figures in the last snapshot */
};

struct history {
	struct history_points points;
	struct known_site *known;
	const struct stack **sites; /* their stacks, for the view */
	uint32_t site_cnt, site_cap;
	struct map by_hash; /* → the number of one with that hash, never 0 */
	uint64_t started_ns;
	uint64_t step_ends[HISTORY_STEPS];
	size_t step_cnt;
	struct history_change *changes;
	size_t change_cnt, change_cap;
	bool incomplete;
};

static int room_for_sites(struct history *h)
{
	uint32_t cap = h->site_cap ? 2 * h->site_cap : 256;
	struct known_site *known;
	const struct stack **sites;

	if (h->site_cnt < h->site_cap)
		return 0;
	known = realloc(h->known, cap * sizeof(*known));
	if (!known)
		return -1;
	h->known = known;
	sites = realloc(h->sites, cap * sizeof(*sites));
	if (!sites)
		return -1;
	h->sites = sites;
	h->site_cap = cap;
	return 0;
}

/* Takes the stack. False: no memory. */
static bool add_site(struct history *h, struct stack *stack, uint32_t same_hash)
{
	if (room_for_sites(h))
		return false;
	h->known[h->site_cnt] = (struct known_site){.stack = stack, .same_hash = same_hash};
	h->sites[h->site_cnt++] = stack;
	return true;
}

struct history *history_new(void)
{
	struct history *h = calloc(1, sizeof(*h));

	if (h && add_site(h, NULL, 0))
		return h;
	history_free(h);
	return NULL;
}

void history_free(struct history *h)
{
	if (!h)
		return;
	for (uint32_t i = 0; i < h->site_cnt; i++)
		free(h->known[i].stack);
	map_free(&h->by_hash);
	history_points_free(&h->points);
	free(h->known);
	free(h->sites);
	free(h->changes);
	free(h);
}

static uint32_t number_of(const struct history *h, uint64_t hash)
{
	return (uint32_t)(uintptr_t)map_get(&h->by_hash, hash);
}

/* Snapshots come and go, and what they point to with them. */
static struct stack *copy_of(const struct stack *stack)
{
	size_t size = sizeof(*stack) + stack->cnt * sizeof(struct location *);
	struct stack *copy = malloc(size);

	return copy ? memcpy(copy, stack, size) : NULL;
}

/* Its number, which is new if need be; without room that of no stack. */
static uint32_t site_of(struct history *h, const struct stack *stack)
{
	uint64_t hash = stack ? stack_hash(stack) : 0;
	uint32_t first = stack ? number_of(h, hash) : 0, site = first;
	struct stack *copy;

	while (site && !stack_is_same(h->known[site].stack, stack))
		site = h->known[site].same_hash;
	if (site || !stack || h->site_cnt == SITES_KEPT)
		return site;
	copy = copy_of(stack);
	if (copy && !map_set(&h->by_hash, hash, (void *)(uintptr_t)h->site_cnt)) {
		if (add_site(h, copy, first))
			return h->site_cnt - 1;
		if (first)
			map_set(&h->by_hash, hash, (void *)(uintptr_t)first);
		else
			map_remove(&h->by_hash, hash);
	}
	free(copy);
	h->incomplete = true;
	return 0;
}

static int room_for_changes(struct history *h, size_t more)
{
	size_t cap = h->change_cap ? h->change_cap : 1024;
	struct history_change *v;

	while (cap < h->change_cnt + more)
		cap *= 2;
	if (cap == h->change_cap)
		return 0;
	v = realloc(h->changes, cap * sizeof(*v));
	if (!v)
		return -1;
	h->changes = v;
	h->change_cap = cap;
	return 0;
}

static void add_change(struct history_change *sum, const struct history_change *part)
{
	sum->live += part->live;
	sum->live_blocks += part->live_blocks;
	sum->allocated += part->allocated;
	sum->allocs += part->allocs;
	sum->freed += part->freed;
	sum->frees += part->frees;
	sum->freed_here += part->freed_here;
}

/* The change of that site among those from first on. */
static struct history_change *change_of(struct history *h, size_t first, uint32_t step, uint32_t site)
{
	struct known_site *known = &h->known[site];

	if (known->at < first || known->at >= h->change_cnt || h->changes[known->at].site != site) {
		known->at = (uint32_t)h->change_cnt++;
		h->changes[known->at] = (struct history_change){.step = step, .site = site};
	}
	return &h->changes[known->at];
}

static struct history_change figures_of(const struct site *site)
{
	return (struct history_change){
		.live = (int64_t)site->live.bytes,
		.live_blocks = (int64_t)site->live.cnt,
		.allocated = site->allocated.bytes,
		.allocs = site->allocated.cnt,
		.freed = site->freed.bytes,
		.frees = site->freed.cnt,
		.freed_here = site->freed_here.bytes,
	};
}

/* What has only ever grown, and less is seen of it: a process has left the sum. */
static uint64_t growth(uint64_t now, uint64_t before)
{
	return now > before ? now - before : 0;
}

/* Turns a site's figures into what they have changed by. False: by nothing. */
static bool subtract_seen(struct history_change *change, struct history_change *seen)
{
	struct history_change now = *change;

	change->live = now.live - seen->live;
	change->live_blocks = now.live_blocks - seen->live_blocks;
	change->allocated = growth(now.allocated, seen->allocated);
	change->allocs = growth(now.allocs, seen->allocs);
	change->freed = growth(now.freed, seen->freed);
	change->frees = growth(now.frees, seen->frees);
	change->freed_here = growth(now.freed_here, seen->freed_here);
	*seen = now;
	return change->live || change->live_blocks || change->allocated || change->allocs || change->freed ||
	       change->frees || change->freed_here;
}

/* A step's figures first, then their changes in their place. */
static void add_sites(struct history *h, const struct allocation_view *allocs, uint32_t step)
{
	size_t first = h->change_cnt, cnt;

	if (room_for_changes(h, allocs->site_cnt)) {
		h->incomplete = true;
		return;
	}
	for (size_t i = 0; i < allocs->site_cnt; i++) {
		const struct history_change figures = figures_of(allocs->sites[i].figures);

		add_change(change_of(h, first, step, site_of(h, allocs->sites[i].stack)), &figures);
	}
	cnt = h->change_cnt;
	h->change_cnt = first;
	for (size_t i = first; i < cnt; i++)
		if (subtract_seen(&h->changes[i], &h->known[h->changes[i].site].seen))
			h->changes[h->change_cnt++] = h->changes[i];
}

/* Into at most cnt steps, of like length. */
static void coarsen_steps(struct history *h, size_t cnt)
{
	uint64_t piece = history_piece(h->step_ends[h->step_cnt - 1] - h->started_ns, cnt);
	uint32_t to[HISTORY_STEPS];
	size_t steps = 0, old = h->change_cnt, first = 0;

	for (size_t i = 0, last = SIZE_MAX; i < h->step_cnt; i++) {
		size_t in = (size_t)((h->step_ends[i] - h->started_ns - 1) / piece);

		steps += in != last;
		last = in;
		to[i] = (uint32_t)steps - 1;
		h->step_ends[steps - 1] = h->step_ends[i];
	}
	h->step_cnt = steps;
	h->change_cnt = 0;
	for (size_t i = 0; i < old; i++) {
		const struct history_change change = h->changes[i];

		if (h->change_cnt && h->changes[h->change_cnt - 1].step != to[change.step])
			first = h->change_cnt;
		add_change(change_of(h, first, to[change.step], change.site), &change);
	}
}

void history_add(struct history *h, const struct snapshot *s)
{
	if (!h->step_cnt)
		h->started_ns = s->started_ns;
	if (s->time_ns <= (h->step_cnt ? h->step_ends[h->step_cnt - 1] : h->started_ns))
		return; /* once more, or as the clock stands */
	h->incomplete |= history_points_add(&h->points, s) != 0;
	if (h->step_cnt == HISTORY_STEPS)
		coarsen_steps(h, HISTORY_STEPS / 2);
	h->step_ends[h->step_cnt++] = s->time_ns;
	if (s->allocs)
		add_sites(h, s->allocs, (uint32_t)h->step_cnt - 1);
	while (h->change_cnt > HISTORY_CHANGES && h->step_cnt > 1)
		coarsen_steps(h, h->step_cnt / 2);
}

void history_view(const struct history *h, struct history_view *view)
{
	*view = (struct history_view){
		.points = h->points.v,
		.point_cnt = h->points.cnt,
		.sites = h->sites,
		.site_cnt = h->site_cnt,
		.step_ends = h->step_ends,
		.step_cnt = h->step_cnt,
		.changes = h->changes,
		.change_cnt = h->change_cnt,
		.incomplete = h->incomplete,
	};
}
