#include "record/site_changes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "picture/ranking.h"

#define FIGURE_CNT 16
#define STACK_BIT (1u << FIGURE_CNT)

/* Numbers of figures in struct site_state, as an array. */
enum { LIVE, ALLOCATED = 2, FREED = 4 };

_Static_assert(offsetof(struct site_state, stack) == FIGURE_CNT * sizeof(uint64_t),
	       "a figure more: raise RECORD_VERSION");

void site_states_free(struct site_states *s)
{
	bound_states_free(&s->bounds);
	free(s->v);
	*s = (struct site_states){0};
}

/* Room for number; false: there is none. */
static bool reach(struct site_states *s, uint32_t number, size_t *left)
{
	uint32_t cap = s->cap ? s->cap : 256;
	struct site_state *v;
	size_t more;

	if (number < s->cap) {
		s->cnt = number < s->cnt ? s->cnt : number + 1;
		return true;
	}
	while (cap <= number)
		cap *= 2;
	more = (cap - s->cap) * sizeof(*v);
	if (left && more > *left)
		return false;
	v = realloc(s->v, cap * sizeof(*v));
	if (!v)
		return false;
	memset(v + s->cap, 0, more);
	if (left)
		*left -= more;
	s->v = v;
	s->cap = cap;
	s->cnt = number + 1;
	return true;
}

static struct site_state state_of(const struct site_view *view)
{
	struct site_state state = {
		.live = view->figures->live,
		.allocated = view->figures->allocated,
		.freed = view->figures->freed,
		.temporary = view->figures->temporary,
		.freed_here = view->figures->freed_here,
		.peak = view->peak,
		.stack = view->stack,
	};

	if (view->survey) {
		state.old = view->survey->old;
		state.pinned = view->survey->pinned;
		state.alone = view->survey->alone;
	}
	return state;
}

/* What figures would be if nothing changed but that what was allocated and does not live is freed. */
static void expect(uint64_t v[FIGURE_CNT], const uint64_t *is)
{
	for (unsigned i = 0; i < 2; i++)
		v[FREED + i] += (is[ALLOCATED + i] - v[ALLOCATED + i]) - (is[LIVE + i] - v[LIVE + i]);
}

static uint64_t zigzag(uint64_t difference)
{
	return difference << 1 ^ -(difference >> 63);
}

static uint64_t unzigzag(uint64_t stored)
{
	return stored >> 1 ^ -(stored & 1);
}

/* Stores what changed of one, with its number's distance from the one before; false: nothing. */
static bool write_site(struct codec *c, struct site_state *was, const struct site_state *is,
		       uint64_t distance)
{
	const uint64_t *now = (const uint64_t *)is;
	uint64_t expected[FIGURE_CNT];
	unsigned bits = was->known ? 0 : STACK_BIT;

	memcpy(expected, was, sizeof(expected));
	expect(expected, now);
	for (unsigned i = 0; i < FIGURE_CNT; i++)
		bits |= now[i] != expected[i] ? 1u << i : 0;
	if (!bits)
		return false;
	chunk_write_varint(c->out, distance);
	chunk_write_varint(c->out, bits);
	if (bits & STACK_BIT)
		codec_stack(c, &(const struct stack *){is->stack});
	for (unsigned i = 0; i < FIGURE_CNT; i++)
		if (bits & 1u << i)
			chunk_write_varint(c->out, zigzag(now[i] - expected[i]));
	*was = *is;
	was->known = true;
	return true;
}

static void write_changes(struct codec *c, struct site_states *states, const struct allocation_view *allocs)
{
	uint64_t before = 0;

	for (uint32_t i = 0; i < allocs->number_cnt; i++) {
		struct site_state now;

		if (!allocs->by_number[i])
			continue;
		if (!reach(states, i, NULL)) {
			c->status = -ENOMEM;
			break;
		}
		now = state_of(allocs->by_number[i]);
		if (write_site(c, &states->v[i], &now, i + 1 - before))
			before = i + 1;
	}
	chunk_write_varint(c->out, 0);
}

/* In place, figure by figure that changed: there may be 50 million in a recording. */
static void read_site(struct codec *c, struct site_state *state)
{
	uint64_t *v = (uint64_t *)state, bits = chunk_read_varint(c->in);
	uint64_t freed[2] = {v[LIVE] - v[ALLOCATED], v[LIVE + 1] - v[ALLOCATED + 1]};

	if (bits & STACK_BIT)
		codec_stack(c, &state->stack);
	for (bits &= STACK_BIT - 1; bits; bits &= bits - 1)
		v[__builtin_ctzll(bits)] += unzigzag(chunk_read_varint(c->in));
	for (unsigned i = 0; i < 2; i++)
		v[FREED + i] += v[ALLOCATED + i] - v[LIVE + i] + freed[i];
	state->known = true;
}

static void read_changes(struct codec *c, struct site_states *states, size_t *left)
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

void code_site_changes(struct codec *c, struct site_states *states, const struct allocation_view *allocs,
		       size_t *left)
{
	if (codec_writes(c))
		write_changes(c, states, allocs);
	else
		read_changes(c, states, left);
}

/* What a view points to of one site. */
struct site_room {
	struct site site;
	struct site_survey survey;
};

static void fill(struct site_room *room, const struct site_state *state)
{
	room->site = (struct site){
		.stack = state->stack ? state->stack->id : 0,
		.live = state->live,
		.allocated = state->allocated,
		.freed = state->freed,
		.temporary = state->temporary,
		.freed_here = state->freed_here,
	};
	room->survey =
		(struct site_survey){.old = state->old, .pinned = state->pinned, .alone = state->alone};
}

/* As ranking_arrange orders views. */
static int by_live(const void *x, const void *y)
{
	const struct site_state *a = *(const struct site_state *const *)x,
				*b = *(const struct site_state *const *)y;
	uint64_t left = a->live.bytes, right = b->live.bytes;

	if (left == right) {
		left = a->allocated.bytes + a->freed_here.bytes;
		right = b->allocated.bytes + b->freed_here.bytes;
	}
	if (left != right)
		return left < right ? 1 : -1;
	return a < b ? -1 : 1; /* of one array: by number */
}

/* The chosen ones, in order, at the beginning of v, which has room for twice as many. */
static uint32_t find_largest(const struct site_states *s, const struct site_choice *choice,
			     const struct site_state **v)
{
	uint64_t least = choice->least;
	uint32_t cnt = 0, most = choice->most;

	for (uint32_t i = 0; i < s->cnt; i++) {
		if (!s->v[i].known || s->v[i].live.bytes < least)
			continue;
		v[cnt++] = &s->v[i];
		if (cnt < 2 * most)
			continue;
		qsort(v, cnt, sizeof(*v), by_live);
		cnt = most;
		least = v[most - 1]->live.bytes;
	}
	if (cnt)
		qsort(v, cnt, sizeof(*v), by_live);
	return cnt < most ? cnt : most;
}

static struct site_view view_of(const struct site_states *s, const struct site_state *state,
				struct site_room *room, struct site_bounds *bounds, uint32_t surveyed)
{
	uint32_t number = (uint32_t)(state - s->v);

	fill(room, state);
	return (struct site_view){
		.number = number,
		.figures = &room->site,
		.survey = number < surveyed ? &room->survey : NULL,
		.peak = state->peak,
		.stack = state->stack,
		.bounds = bounds ? bound_states_view(&s->bounds, number, &room->site, bounds) : NULL,
	};
}

/* Room for the bounds of so many; NULL: all are exact. */
static struct site_bounds *bounds_for(struct codec *c, const struct site_states *s, size_t cnt)
{
	struct site_bounds *bounds = s->bounds.cnt ? arena_get(c->arena, cnt * sizeof(*bounds)) : NULL;

	if (s->bounds.cnt && !bounds)
		c->status = -ENOMEM;
	return bounds;
}

void site_states_largest(struct codec *c, const struct site_states *s, const struct site_choice *choice,
			 struct allocation_view *a)
{
	uint32_t surveyed = a->survey ? a->survey->site_cnt : 0;
	const struct site_state **found = arena_get(c->arena, 2 * choice->most * sizeof(*found));
	struct site_view *views = arena_get(c->arena, choice->most * sizeof(*views));
	struct site_room *rooms = arena_get(c->arena, choice->most * sizeof(*rooms));
	struct site_bounds *bounds = bounds_for(c, s, choice->most);

	a->site_cnt = a->number_cnt = 0;
	if (!found || !views || !rooms) {
		c->status = -ENOMEM;
		return;
	}
	a->site_cnt = find_largest(s, choice, found);
	for (uint32_t i = 0; i < a->site_cnt; i++)
		views[i] = view_of(s, found[i], &rooms[i], bounds ? &bounds[i] : NULL, surveyed);
	a->sites = views;
}

void site_states_view(struct codec *c, const struct site_states *s, struct allocation_view *a)
{
	uint32_t surveyed = a->survey ? a->survey->site_cnt : 0;
	const struct site_view **by_number = arena_get(c->arena, s->cnt * sizeof(*by_number));
	struct site_view *views = arena_get(c->arena, s->cnt * sizeof(*views));
	struct site_room *rooms = arena_get(c->arena, s->cnt * sizeof(*rooms));
	struct site_bounds *bounds = bounds_for(c, s, s->cnt);

	a->site_cnt = a->number_cnt = 0;
	if (!by_number || !views || !rooms) {
		c->status = -ENOMEM;
		return;
	}
	for (uint32_t i = 0; i < s->cnt; i++) {
		if (!s->v[i].known)
			continue;
		views[a->site_cnt] = view_of(s, &s->v[i], &rooms[a->site_cnt],
					     bounds ? &bounds[a->site_cnt] : NULL, surveyed);
		a->site_cnt++;
	}
	ranking_arrange(views, a->site_cnt, by_number);
	a->sites = views;
	a->by_number = by_number;
	a->number_cnt = s->cnt;
}
