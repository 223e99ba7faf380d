/*
 * The stacks of a target by id: frames are named when a stack is first seen, while the
 * process that they lie in still lives. Names are kept once, however many stacks they are in.
 */
#ifndef ALLOCTRACE_STACK_STACKS_H
#define ALLOCTRACE_STACK_STACKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event/source.h"
#include "stack/frame.h"

struct stack {
	uint64_t id; /* its own: several of the events may turn out to be one */
	bool truncated;
	uint32_t cnt;
	const char *frames[]; /* names, outermost first; live as long as the stacks */
};

struct stacks;

struct stacks *stacks_new(struct frames *frames); /* frames must outlive them. NULL: no memory */
void stacks_free(struct stacks *stacks);          /* NULL-safe */
/* From now on ev->id means this stack. 0, −ENOMEM, −ENOSPC beyond a million. */
int stacks_add(struct stacks *stacks, const struct event_stack *ev);
/* The id of the stack that the one of an event was taken for; 0: not known. */
uint64_t stacks_own_id(const struct stacks *stacks, uint64_t id);
/* By its own id. NULL: not known. */
const struct stack *stacks_find(const struct stacks *stacks, uint64_t id);
size_t stacks_cnt(const struct stacks *stacks);

#endif
