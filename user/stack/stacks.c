#include "stack/stacks.h"

#include <errno.h>
#include <stdlib.h>

#include "base/map.h"

#define IDS_MAX (1u << 20)

struct stacks {
	struct locations *locations;
	struct map stacks; /* own id → struct stack */
	struct map ids;    /* as events name them → the stack that it was taken for */
};

struct stacks *stacks_new(struct locations *locations)
{
	struct stacks *s = calloc(1, sizeof(*s));

	if (s)
		s->locations = locations;
	return s;
}

void stacks_free(struct stacks *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->stacks.cap; i++)
		free(s->stacks.slots[i].value);
	map_free(&s->stacks);
	map_free(&s->ids);
	free(s);
}

/* FNV-1a over the frames; never 0. */
static uint64_t own_id(const struct event_stack *ev)
{
	uint64_t hash = 0xcbf29ce484222325ULL ^ ev->end;

	for (uint32_t i = 0; i < ev->cnt; i++)
		hash = (hash ^ ev->frames[i]) * 0x100000001b3ULL;
	return hash ? hash : 1;
}

static struct stack *make_stack(struct stacks *s, const struct event_stack *ev, uint64_t id)
{
	struct stack *stack = calloc(1, sizeof(*stack) + ev->cnt * sizeof(stack->locations[0]));

	if (!stack)
		return NULL;
	stack->id = id;
	stack->truncated = ev->end != STACK_END_OUTERMOST;
	stack->cnt = ev->cnt;
	for (uint32_t i = 0; i < ev->cnt; i++)
		stack->locations[ev->cnt - 1 - i] = locations_get(s->locations, ev->frames[i]);
	if (!map_set(&s->stacks, id, stack))
		return stack;
	free(stack);
	return NULL;
}

int stacks_add(struct stacks *s, const struct event_stack *ev)
{
	uint64_t id = own_id(ev);
	struct stack *stack;

	if (s->ids.cnt >= IDS_MAX && !map_get(&s->ids, ev->id))
		return -ENOSPC;
	stack = map_get(&s->stacks, id) ?: make_stack(s, ev, id);
	return stack ? map_set(&s->ids, ev->id, stack) : -ENOMEM;
}

uint64_t stacks_own_id(const struct stacks *s, uint64_t id)
{
	const struct stack *stack = id ? map_get(&s->ids, id) : NULL;

	return stack ? stack->id : 0;
}

const struct stack *stacks_find(const struct stacks *s, uint64_t id)
{
	return id ? map_get(&s->stacks, id) : NULL;
}

size_t stacks_cnt(const struct stacks *s)
{
	return s->stacks.cnt;
}

static const struct frame_name *next(struct stack_walk *walk, bool out)
{
	for (; walk->location < walk->stack->cnt; walk->location++, walk->frame = 0) {
		uint32_t at = out ? walk->stack->cnt - 1 - walk->location : walk->location;
		const struct frame_list *list = names_of(walk->stack->locations[at]);

		if (walk->frame < list->cnt) {
			uint32_t frame = walk->frame++;

			return &list->v[out ? list->cnt - 1 - frame : frame];
		}
	}
	return NULL;
}

const struct frame_name *stack_next(struct stack_walk *walk)
{
	return next(walk, false);
}

const struct frame_name *stack_next_out(struct stack_walk *walk)
{
	return next(walk, true);
}

void stack_want(struct names *names, const struct stack *stack)
{
	for (uint32_t i = 0; names && stack && i < stack->cnt; i++)
		names_want(names, stack->locations[i]);
}
