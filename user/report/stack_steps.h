/*
 * How the figures of call stacks came about, step by step of the history, for forms that show that:
 * a row a stack, brought from one step's end to the next. The last step ends with the snapshot's own
 * figures, whatever the history has missed; without a history it is the only one.
 */
#ifndef ALLOCTRACE_REPORT_STACK_STEPS_H
#define ALLOCTRACE_REPORT_STACK_STEPS_H

#include "base/map.h"
#include "picture/history.h"
#include "picture/snapshot.h"

/* Of all sites that the form shows as one. */
struct stack_row {
	const struct stack *stack;                       /* one of them; NULL: none is known */
	uint32_t number;                                 /* the form's */
	struct site_count allocated, live;               /* as of the step that was gone last */
	struct site_count all_allocated, last_live;      /* of the snapshot: … at the end */
	struct site_count peak, temporary;               /* likewise */
	size_t changed_in;                               /* the last step that changed it, from 1 on; 0: none yet */
};

/* Gives a stack (NULL: none is known) its number: from 1 on and dense, equal ones for what is shown as one. 0 or −errno. */
typedef int (*stack_number_fn)(void *form, const struct stack *stack, uint32_t *number);

struct stack_steps {
	struct stack_row *rows;
	size_t row_cnt;
	uint64_t end_ns;    /* of the step that was gone last; 0: none yet */
	uint32_t *changed;  /* rows that it has changed */
	size_t changed_cnt;

	/* Its own. */
	const struct snapshot *s;
	struct history_view history;
	size_t row_cap, step_cnt, step, change;
	uint32_t *row_of;         /* by the form's number: a row's, from 1 on */
	uint32_t row_of_cap;
	struct map known;         /* a stack's hash → a row, from 1 on */
	uint32_t *row_of_site;    /* of the history's sites */
};

/* Asks number for stacks, until all are known. 0, −ENOMEM or what number returned; stack_steps_free afterwards either way. s has allocs. */
int stack_steps_begin(struct stack_steps *steps, const struct snapshot *s, stack_number_fn number, void *form);
void stack_steps_free(struct stack_steps *steps);
/* When the next step ends; 0: there is none. */
uint64_t stack_steps_next_end(const struct stack_steps *steps);
/* Goes to the end of the next step. False: there is none. */
bool stack_steps_next(struct stack_steps *steps);

#endif
