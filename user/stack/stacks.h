/*
 * The stacks of one process by id. Frames become locations (stack/location.h) when a stack is first
 * seen, while the process that they lie in still lives; they are named when a report shows them.
 * Stacks of several processes that share their locations are equal where those are.
 */
#ifndef ALLOCTRACE_STACK_STACKS_H
#define ALLOCTRACE_STACK_STACKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event/source.h"
#include "probe/python.h"
#include "stack/addresses.h"
#include "stack/names.h"

/* Why a stack is truncated. */
enum stack_cut {
	STACK_WHOLE,
	STACK_CUT_LIMIT,      /* more than EVENT_FRAMES_MAX frames, or of Python's PYTHON_FRAMES_MAX */
	STACK_CUT_UNMAPPED,   /* it leads to where nothing is known to be mapped */
	STACK_CUT_NO_TABLE,   /* … to code that neither a table nor frame pointers tell how to leave */
	STACK_CUT_UNREADABLE, /* … to memory that could not be read */
	STACK_CUT_CNT
};
extern const char *const stack_cut_names[STACK_CUT_CNT];

struct stack {
	uint64_t id; /* its own: several of the events may turn out to be one */
	enum stack_cut cut;
	uint32_t cnt;
	struct location *locations[]; /* outermost first; the pool's: equal places of several processes are one */
};

/* Whether two stacks, of one process or two, have the same locations. */
bool stack_is_same(const struct stack *a, const struct stack *b);
/* Of its locations: the same for stacks that are the same. */
uint64_t stack_hash(const struct stack *stack);

/* Goes over the frames of a stack, those inlined included, from one end to the other. */
struct stack_walk {
	const struct stack *stack;
	uint32_t location, frame; /* how many are behind it; in the next location */
};
/* The next frame, outermost first; NULL: that was the last. */
const struct frame_name *stack_next(struct stack_walk *walk);
/* The same, innermost first. */
const struct frame_name *stack_next_out(struct stack_walk *walk);
/* Asks for all names of it; stack may be NULL. */
void stack_want(struct names *names, const struct stack *stack);
/* Whether names of it that were asked for are still to come; between names_begin and names_end. NULL: none are. */
bool stack_is_waited_for(const struct stack *stack);

struct stacks;

/*
 * native: an interpreter's own frames are shown beside its program's, else left out of stacks that
 * run Python. addresses must outlive them. NULL: no memory.
 */
struct stacks *stacks_new(struct addresses *addresses, bool native);
void stacks_free(struct stacks *stacks); /* NULL-safe */
/* Code objects come before the stacks that name them. As python_codes_add. */
int stacks_code(struct stacks *stacks, const struct event_code *ev);
/*
 * From now on ev->id means this stack. python: the process's interpreter, NULL: none is known.
 * 0, −ENOMEM, −ENOSPC beyond a million.
 */
int stacks_add(struct stacks *stacks, const struct event_stack *ev, const struct python *python);
/* The id of the stack that the one of an event was taken for; 0: not known. */
uint64_t stacks_own_id(const struct stacks *stacks, uint64_t id);
/* A stack of the caller alone, where no other was taken. NULL: no memory. */
const struct stack *stacks_of_caller(struct stacks *stacks, uint64_t caller);
/* By its own id. NULL: not known. */
const struct stack *stacks_find(const struct stacks *stacks, uint64_t id);

struct stacks_counts {
	uint64_t known;   /* distinct ones */
	uint64_t again;   /* submitted once more: the kernel side had forgotten that it knew them */
	uint64_t refused; /* beyond a million, or for want of memory: what they did has no stack */
};
struct stacks_counts stacks_counts(const struct stacks *stacks);

#endif
