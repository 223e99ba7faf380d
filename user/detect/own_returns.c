#include "detect/own_returns.h"

#include <sys/mman.h>

#include "base/units.h"
#include "detect/purge.h"
#include "detect/returned.h"

#define RUN_GAP_NS NSEC_PER_SEC /* decay is checked on activity: it comes in steps */

static struct own_return *of_kind(struct own_returns *all, const struct allocator *kind)
{
	for (size_t i = 0; i < all->cnt; i++)
		if (all->v[i].kind == kind)
			return &all->v[i];
	if (all->cnt == OWN_RETURNS_MAX)
		return NULL;
	all->v[all->cnt] = (struct own_return){.kind = kind};
	return &all->v[all->cnt++];
}

/* Whether the call gives back what a purge might have: not a block that goes with its free. */
static bool counts(const struct event_memory *ev, const struct allocator *kind)
{
	if (!ev->shrink || ev->failed || ev->purge_id)
		return false;
	return !kind->maps_blocks || ev->op != MEMORY_MUNMAP || returned_is_heap(ev);
}

static void begin_run(struct own_return *r, const struct allocator *kind, const struct heap_state *state)
{
	const struct heap_allocator *a = state && state->taken_ns ? heap_state_find(state, kind) : NULL;

	r->run_bytes = 0;
	r->promised = a ? a->purgeable : UNKNOWN;
}

/* Goes on with the run that goes on then, or begins one. True: it counts from now on. */
static bool add_to_run(struct own_return *r, uint64_t time, uint64_t bytes, const struct heap_state *state)
{
	if (r->kind->layer) /* what it keeps is not what a purge would return */
		return false;
	if (!r->run_bytes || time > r->run_ns + RUN_GAP_NS)
		begin_run(r, r->kind, state);
	r->run_ns = time;
	r->run_bytes += bytes;
	if (!purge_is_effective(r->run_bytes, r->promised))
		return false;
	r->run_bytes = 0;
	r->purges++;
	return true;
}

bool own_returns_add(struct own_returns *all, const struct event_memory *ev, const struct allocator *kind,
		     const struct heap_state *state)
{
	bool lazily = ev->op == MEMORY_MADVISE && ev->advice == MADV_FREE;
	struct own_return *r = counts(ev, kind) ? of_kind(all, kind) : NULL;
	uint64_t bytes = returned_bytes(ev);

	if (!r)
		return false;
	r->calls++;
	r->bytes += bytes;
	if (lazily)
		r->lazy += ev->len;
	return add_to_run(r, ev->head.time, lazily ? ev->len : bytes, state);
}

bool own_returns_add_purge(struct own_returns *all, const struct event_purge *ev, uint64_t bytes,
			   const struct allocator *kind, const struct heap_state *state)
{
	struct own_return *r = ev->calls ? of_kind(all, kind) : NULL;

	if (!r)
		return false;
	r->calls += ev->calls;
	r->bytes += bytes;
	return add_to_run(r, ev->head.time, bytes, state);
}
