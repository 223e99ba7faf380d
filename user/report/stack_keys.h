/*
 * Keys of what stacks say, so that those of two recordings can be compared although their locations are
 * not the same ones. Two of each stack: with lines, and without, since lines move when a program is
 * edited. Of a source file the last part of its path counts, as in texts: builds lie in different
 * folders. Frames count, not locations: what one build has inlined another may call.
 *
 * A key is a hash of 128 bits by numbers drawn anew for each run: that two stacks share one by chance, or
 * by somebody's making, is not to be expected.
 */
#ifndef ALLOCTRACE_REPORT_STACK_KEYS_H
#define ALLOCTRACE_REPORT_STACK_KEYS_H

#include <stdbool.h>
#include <stdint.h>

#include "stack/stacks.h"

struct stack_key {
	uint64_t v[2];
};

static inline bool stack_key_is(struct stack_key a, struct stack_key b)
{
	return a.v[0] == b.v[0] && a.v[1] == b.v[1];
}

struct stack_keys;

struct stack_keys *stack_keys_new(void);          /* NULL: no memory */
void stack_keys_free(struct stack_keys *keys);    /* NULL-safe */
/* stack: NULL is a stack too; its locations must keep their names as long as keys. 0 or −ENOMEM. */
int stack_keys_of(struct stack_keys *keys, const struct stack *stack, struct stack_key *whole,
		  struct stack_key *lineless);

#endif
