/*
 * The code objects of a target's Python frames, by the ids that stacks name them by, and what a
 * frame of them is called.
 */
#ifndef ALLOCTRACE_STACK_PYTHON_CODES_H
#define ALLOCTRACE_STACK_PYTHON_CODES_H

#include "../bpf/event.h"
#include "stack/location.h"

struct python_codes;

struct python_codes *python_codes_new(void);         /* NULL: no memory */
void python_codes_free(struct python_codes *codes);  /* NULL-safe */
/* 0 (also if it is known), −ENOMEM, −ENOSPC beyond a million. */
int python_codes_add(struct python_codes *codes, const struct event_code *ev);
/*
 * Where a frame stands: function, file and line, the same for all processes that share locations. A
 * frame whose code was lost says so.
 */
struct location *python_codes_locate(const struct python_codes *codes, struct locations *locations,
				     const struct python_frame *frame);

#endif
