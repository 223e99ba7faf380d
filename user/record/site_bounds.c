#include "record/site_bounds.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "heap/state.h"
#include "picture/ranking.h"

#define KIND_BITS 2
#define BOUND_CNT (2 * BOUNDED_FIGURES)

_Static_assert(BOUND_KIND_CNT <= 1 << KIND_BITS, "beside the bits");

void bound_states_free(struct bound_states *s)
{
	free(s->v);
	*s = (struct bound_states){0};
}

/* Room for number; false: there is none. */
static bool reach(struct bound_states *s, uint32_t number, size_t *left)
{
	uint32_t cap = s->cap ? s->cap : 64;
	struct bound_state *v;
	size_t more;

	if (number >= s->cap) {
		while (cap <= number)
			cap *= 2;
		more = (cap - s->cap) * sizeof(*v);
		v = left && more > *left ? NULL : realloc(s->v, cap * sizeof(*v));
		if (!v)
			return false;
		memset(v + s->cap, 0, more);
		if (left)
			*left -= more;
		s->v = v;
		s->cap = cap;
	}
	s->cnt = number < s->cnt ? s->cnt : number + 1;
	return true;
}

static struct bounded bounded_of(const struct site *f)
{
	return (struct bounded){f->live, f->allocated, f->freed, f->freed_here};
}

static uint64_t zigzag(uint64_t difference)
{
	return difference << 1 ^ -(difference >> 63);
}

static uint64_t unzigzag(uint64_t stored)
{
	return stored >> 1 ^ -(stored & 1);
}

/* ---- writing ---- */

static struct bound_state state_of(const struct site_view *view, bool stored)
{
	struct bounded figures = bounded_of(view->figures);
	const uint64_t *v = (const uint64_t *)&figures;
	struct bound_state state = {.kind = view->bounds ? BOUND_ESTIMATE : BOUND_EXACT};
	struct site_bounds bounds;

	if (!view->bounds || !stored)
		return state;
	state.kind = BOUND_STORED;
	bounds = *view->bounds;
	for (unsigned i = 0; i < BOUNDED_FIGURES; i++) {
		state.below[i] = v[i] - *bounds_low(&bounds, i);
		state.above[i] = *bounds_high(&bounds, i) - v[i];
	}
	return state;
}

/* False: there is nothing to store of it. */
static bool write_site(struct codec *c, struct bound_state *was, const struct bound_state *is, uint64_t distance)
{
	uint64_t differences[BOUND_CNT] = {0}, bits = 0;

	for (unsigned i = 0; i < BOUNDED_FIGURES && is->kind == BOUND_STORED; i++) {
		differences[i] = is->below[i] - was->below[i];
		differences[BOUNDED_FIGURES + i] = (is->above[i] - is->below[i]) - (was->above[i] - was->below[i]);
	}
	for (unsigned i = 0; i < BOUND_CNT; i++)
		bits |= differences[i] ? 1u << i : 0;
	if (!bits && is->kind == was->kind)
		return false;
	chunk_write_varint(c->out, distance);
	chunk_write_varint(c->out, bits << KIND_BITS | is->kind);
	for (; bits; bits &= bits - 1)
		chunk_write_varint(c->out, zigzag(differences[__builtin_ctzll(bits)]));
	if (is->kind == BOUND_STORED)
		*was = *is;
	was->kind = is->kind;
	return true;
}

/* Which are stored, by number; NULL: no memory. */
static bool *choose(const struct allocation_view *a, bool all)
{
	size_t most = a->top > SITE_BOUNDS_SHOWN ? a->top : SITE_BOUNDS_SHOWN;
	bool *chosen = calloc(a->number_cnt + 1, sizeof(*chosen));
	struct ranking freed;

	if (!chosen || ranking_make(&freed, a, ranking_weigh[WEIGHT_FREED])) {
		free(chosen);
		return NULL;
	}
	for (size_t i = 0; i < a->site_cnt && (all || i < most); i++)
		chosen[a->sites[i].number] = true;
	for (size_t i = 0; i < freed.cnt && i < most; i++)
		chosen[freed.sites[i].view->number] = true;
	ranking_free(&freed);
	return chosen;
}

static void write_list(struct codec *c, struct bound_states *states, const struct allocation_view *a,
		       const bool *chosen)
{
	uint64_t before = 0;

	for (uint32_t i = 0; i < a->number_cnt; i++) {
		struct bound_state now;

		if (!a->by_number[i] || (!a->by_number[i]->bounds && i >= states->cnt))
			continue;
		if (!reach(states, i, NULL)) {
			c->status = -ENOMEM;
			break;
		}
		now = state_of(a->by_number[i], chosen[i]);
		if (write_site(c, &states->v[i], &now, i + 1 - before))
			before = i + 1;
	}
}

void write_site_bounds(struct codec *c, struct bound_states *states, const struct allocation_view *a, bool all)
{
	bool *chosen = NULL;

	if (a->budget.estimated || states->cnt) {
		chosen = choose(a, all);
		if (chosen)
			write_list(c, states, a, chosen);
		else
			c->status = -ENOMEM;
	}
	chunk_write_varint(c->out, 0);
	free(chosen);
}

/* ---- reading ---- */

static void read_site(struct codec *c, struct bound_state *state)
{
	uint64_t head = chunk_read_varint(c->in), bits = head >> KIND_BITS;
	uint64_t differences[BOUND_CNT] = {0};

	state->kind = (enum bound_kind)(head & ((1 << KIND_BITS) - 1));
	if (state->kind >= BOUND_KIND_CNT || bits >> BOUND_CNT || (bits && state->kind != BOUND_STORED)) {
		state->kind = BOUND_ESTIMATE;
		codec_refuse(c);
		return;
	}
	for (; bits; bits &= bits - 1)
		differences[__builtin_ctzll(bits)] = unzigzag(chunk_read_varint(c->in));
	for (unsigned i = 0; i < BOUNDED_FIGURES; i++) {
		state->below[i] += differences[i];
		state->above[i] += differences[i] + differences[BOUNDED_FIGURES + i];
	}
}

void read_site_bounds(struct codec *c, struct bound_states *states, size_t *left)
{
	uint64_t number = 0;

	while (codec_next(c, &number, SITES_MAX)) {
		if (!reach(states, (uint32_t)number - 1, left)) {
			c->status = -ENOMEM;
			return;
		}
		read_site(c, &states->v[number - 1]);
	}
}

const struct site_bounds *bound_states_view(const struct bound_states *states, uint32_t number,
					    const struct site *figures, struct site_bounds *bounds)
{
	const struct bound_state *state = number < states->cnt ? &states->v[number] : NULL;
	struct bounded bounded = bounded_of(figures);
	const uint64_t *v = (const uint64_t *)&bounded;

	if (!state || state->kind == BOUND_EXACT)
		return NULL;
	for (unsigned i = 0; i < BOUNDED_FIGURES; i++) {
		*bounds_low(bounds, i) = state->kind == BOUND_STORED ? v[i] - state->below[i] : 0;
		*bounds_high(bounds, i) = state->kind == BOUND_STORED ? v[i] + state->above[i] : UNKNOWN;
	}
	return bounds;
}
