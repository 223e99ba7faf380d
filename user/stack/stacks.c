#include "stack/stacks.h"

#include <errno.h>
#include <stdlib.h>

#include "base/map.h"

#define STACKS_MAX (1u << 20)

struct stacks {
	struct frames *frames;
	struct map stacks; /* id → struct stack */
};

struct stacks *stacks_new(struct frames *frames)
{
	struct stacks *s = calloc(1, sizeof(*s));

	if (s)
		s->frames = frames;
	return s;
}

void stacks_free(struct stacks *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->stacks.cap; i++)
		free(s->stacks.slots[i].value);
	map_free(&s->stacks);
	free(s);
}

int stacks_add(struct stacks *s, const struct event_stack *ev)
{
	struct stack *stack;

	if (map_get(&s->stacks, ev->id))
		return 0;
	if (s->stacks.cnt >= STACKS_MAX)
		return -ENOSPC;
	stack = calloc(1, sizeof(*stack) + ev->cnt * sizeof(stack->frames[0]));
	if (!stack)
		return -ENOMEM;
	stack->id = ev->id;
	stack->truncated = ev->truncated;
	stack->cnt = ev->cnt;
	for (uint32_t i = 0; i < ev->cnt; i++)
		stack->frames[ev->cnt - 1 - i] = frames_name(s->frames, ev->frames[i]);
	if (!map_set(&s->stacks, ev->id, stack))
		return 0;
	free(stack);
	return -ENOMEM;
}

const struct stack *stacks_find(const struct stacks *s, uint64_t id)
{
	return id ? map_get(&s->stacks, id) : NULL;
}

size_t stacks_cnt(const struct stacks *s)
{
	return s->stacks.cnt;
}
