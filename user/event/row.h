/*
 * One event as recordings keep it (--events): the figures that its kind has, under one set of names.
 * The mass of them are allocations and frees, of which it is all that is known.
 */
#ifndef ALLOCTRACE_EVENT_ROW_H
#define ALLOCTRACE_EVENT_ROW_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "event/source.h"
#include "stack/stacks.h"

struct event_row {
	enum event_kind kind;
	uint64_t time_ns;     /* as struct event_head has it */
	pid_t pid, tid;
	const char *function; /* that was probed; NULL: none was */
	uint64_t addr;        /* of a block or mapping; dlopen's handle; fork: the child's PID */
	uint64_t size;        /* bytes; of frees 0; collection: objects; mark: RSS; exit: as wait(2) encodes it */
	int64_t drop;         /* bytes that RSS fell by: purges and calls of the mmap family */
	uint64_t duration_ns;
	const char *text;     /* dlopen, dlclose: the library; exec: the command; else NULL */
	const struct stack *stack;
	uint64_t stack_id;    /* by which the event names it; 0: none. Not recorded */
};

/* JSON names of kinds; NULL: no kind that rows are kept of. */
extern const char *const event_row_kinds[EVENT_KIND_CNT];

/* Fills in a row but for function and stack; false: events of that kind are not kept. Its text points into ev. */
bool event_row_of(const struct event *ev, struct event_row *row);

#endif
