/*
 * Which places may become milestones (probe/milestones.h), best first: calls on the stacks of allocations that were
 * seen. Of what calls the allocator itself it is known how often it is passed, by its share of all allocations; of
 * others only that it is at least as often, and that outer ones are passed less. Pure.
 */
#ifndef ALLOCTRACE_PROBE_MILESTONE_CHOICE_H
#define ALLOCTRACE_PROBE_MILESTONE_CHOICE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/map.h"
#include "event/source.h"

#define MILESTONE_TRIED_MAX 48 /* places, until milestone_choice_again */

struct milestone_choice { /* all zero to begin with */
	struct map stacks; /* id → struct noted (milestone_choice.c) */
	uint64_t seen;     /* allocations with a stack, among them or not */
	uint64_t tried[MILESTONE_TRIED_MAX];
	unsigned tried_cnt;
};

struct milestone_place {
	uint64_t addr; /* that the call returns to */
	double share;  /* of all allocations, those that are a pass of it each; 0: it may be passed without any */
};

void milestone_choice_free(struct milestone_choice *choice); /* idempotent; all that was seen and tried is forgotten */
void milestone_choice_note_stack(struct milestone_choice *choice, const struct event_stack *stack);
void milestone_choice_note_alloc(struct milestone_choice *choice, uint64_t stack);
/*
 * The best that was not tried since milestone_choice_again, which is now. allocs: a second, of the process's CPU
 * time; wanted: passes a second. False: there is none, or too little was seen.
 */
bool milestone_choice_next(struct milestone_choice *choice, double allocs, double wanted, struct milestone_place *place);
/* What was tried may be again. */
void milestone_choice_again(struct milestone_choice *choice);
/* Not to be tried. */
void milestone_choice_avoid(struct milestone_choice *choice, uint64_t addr);

#endif
