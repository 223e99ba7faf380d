#include "stack/stacks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "stack/python_codes.h"
#include "stack/python_merge.h"

#define IDS_MAX (1u << 20)

struct stacks {
	struct addresses *addresses;
	struct python_codes *codes;
	bool native;
	struct map stacks; /* own id → struct stack */
	struct map ids;    /* as events name them → the stack that it was taken for */
	uint64_t again, refused;
};

struct stacks *stacks_new(struct addresses *addresses, bool native)
{
	struct stacks *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->addresses = addresses;
	s->native = native;
	s->codes = python_codes_new();
	if (s->codes)
		return s;
	free(s);
	return NULL;
}

void stacks_free(struct stacks *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->stacks.cap; i++)
		free(s->stacks.slots[i].value);
	map_free(&s->stacks);
	map_free(&s->ids);
	python_codes_free(s->codes);
	free(s);
}

int stacks_code(struct stacks *s, const struct event_code *ev)
{
	return python_codes_add(s->codes, ev);
}

const char *const stack_cut_names[STACK_CUT_CNT] = {
	[STACK_WHOLE] = "whole",
	[STACK_CUT_LIMIT] = "limit",
	[STACK_CUT_UNMAPPED] = "unmapped",
	[STACK_CUT_NO_TABLE] = "no_table",
	[STACK_CUT_UNREADABLE] = "unreadable",
};

/* An event's end may be any number: what is not known was not readable. */
static enum stack_cut cut_of(unsigned end)
{
	static const enum stack_cut cuts[STACK_END_CNT] = {
		[STACK_END_OUTERMOST] = STACK_WHOLE,           [STACK_END_LIMIT] = STACK_CUT_LIMIT,
		[STACK_END_NO_MAPPING] = STACK_CUT_UNMAPPED,   [STACK_END_NO_ROW] = STACK_CUT_NO_TABLE,
		[STACK_END_UNREADABLE] = STACK_CUT_UNREADABLE,
	};

	return end && end < STACK_END_CNT ? cuts[end] : STACK_CUT_UNREADABLE;
}

/* The frames of an event at their places, innermost first. */
struct frames {
	struct location *v[EVENT_FRAMES_MAX + PYTHON_FRAMES_MAX];
	uint32_t cnt;
	enum stack_cut cut;
};

static void take_native(const struct stacks *s, const struct event_stack *ev, struct frames *frames)
{
	for (uint32_t i = 0; i < ev->cnt; i++)
		frames->v[frames->cnt++] = addresses_get(s->addresses, ev->frames[i]);
}

static void take_python(const struct stacks *s, const struct event_stack *ev, const struct python *python,
			struct frames *frames)
{
	struct python_merged merged[EVENT_FRAMES_MAX + PYTHON_FRAMES_MAX];
	const struct module *own = addresses_get(s->addresses, python->text)->module;
	const struct python_stack both = {
		.pcs = (const uint64_t *)ev->frames,
		.pc_cnt = ev->cnt,
		.pcs_whole = ev->end == STACK_END_OUTERMOST,
		.frames = (const struct python_frame *)&ev->frames[ev->cnt],
		.frame_cnt = ev->python_cnt,
		.frames_whole = ev->python_end == PYTHON_WHOLE,
		.rule = ev->python_rule,
	};
	size_t cnt = python_merge(&python->evals, &both, merged);

	if (!frames->cut && !both.frames_whole)
		frames->cut = ev->python_end == PYTHON_CUT ? STACK_CUT_LIMIT : STACK_CUT_UNREADABLE;
	for (size_t i = 0; i < cnt; i++) {
		struct location *at =
			merged[i].python ? python_codes_locate(s->codes, addresses_locations(s->addresses),
							       merged[i].python)
					 : addresses_get(s->addresses, merged[i].pc);

		if (merged[i].python || s->native || !own || at->module != own)
			frames->v[frames->cnt++] = at;
	}
}

/* FNV-1a over the places; never 0. */
static uint64_t own_id(const struct frames *frames)
{
	uint64_t hash = 0xcbf29ce484222325ULL ^ frames->cut;

	for (uint32_t i = 0; i < frames->cnt; i++)
		hash = (hash ^ (uintptr_t)frames->v[i]) * 0x100000001b3ULL;
	return hash ? hash : 1;
}

static struct stack *make_stack(struct stacks *s, const struct frames *frames, uint64_t id)
{
	struct stack *stack = calloc(1, sizeof(*stack) + frames->cnt * sizeof(stack->locations[0]));

	if (!stack)
		return NULL;
	stack->id = id;
	stack->cut = frames->cut;
	stack->cnt = frames->cnt;
	for (uint32_t i = 0; i < frames->cnt; i++)
		stack->locations[frames->cnt - 1 - i] = frames->v[i];
	if (!map_set(&s->stacks, id, stack))
		return stack;
	free(stack);
	return NULL;
}

int stacks_add(struct stacks *s, const struct event_stack *ev, const struct python *python)
{
	struct frames frames = {.cut = cut_of(ev->end)};
	bool known = map_get(&s->ids, ev->id);
	struct stack *stack;
	uint64_t id;

	s->again += known;
	if (s->ids.cnt >= IDS_MAX && !known) {
		s->refused++;
		return -ENOSPC;
	}
	if (python && ev->python_cnt)
		take_python(s, ev, python, &frames);
	else
		take_native(s, ev, &frames);
	id = own_id(&frames);
	stack = map_get(&s->stacks, id) ?: make_stack(s, &frames, id);
	if (stack && !map_set(&s->ids, ev->id, stack))
		return 0;
	s->refused++;
	return -ENOMEM;
}

const struct stack *stacks_of_caller(struct stacks *s, uint64_t caller)
{
	const struct frames frames = {.v = {addresses_get(s->addresses, caller)}, .cnt = 1};
	uint64_t id = own_id(&frames);

	return map_get(&s->stacks, id) ?: make_stack(s, &frames, id);
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

struct stacks_counts stacks_counts(const struct stacks *s)
{
	return (struct stacks_counts){.known = s->stacks.cnt, .again = s->again, .refused = s->refused};
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

bool stack_is_same(const struct stack *a, const struct stack *b)
{
	return a->cnt == b->cnt && a->cut == b->cut &&
	       !memcmp(a->locations, b->locations, a->cnt * sizeof(struct location *));
}

uint64_t stack_hash(const struct stack *stack)
{
	uint64_t hash = 0xcbf29ce484222325ULL + stack->cut; /* FNV-1a, by words */

	for (uint32_t i = 0; i < stack->cnt; i++)
		hash = (hash ^ (uintptr_t)stack->locations[i]) * 0x100000001b3ULL;
	return hash;
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

bool stack_is_waited_for(const struct stack *stack)
{
	for (uint32_t i = 0; stack && i < stack->cnt; i++) {
		enum location_stage stage = stack->locations[i]->stage;

		if (stage == LOCATION_ASKED || stage == LOCATION_SYMBOL)
			return true;
	}
	return false;
}
