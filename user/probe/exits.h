/*
 * The ways out of a function of an object, through tail jumps into other functions of it too:
 * behind them the stack pointer is the same, by which a call is known.
 */
#ifndef ALLOCTRACE_PROBE_EXITS_H
#define ALLOCTRACE_PROBE_EXITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "target/object.h"

#define EXITS_MAX 256
#define EXITS_PIECES_MAX 32

struct exits {
	uint64_t v[EXITS_MAX]; /* file offsets of rets, each once */
	size_t cnt;
	uint64_t pieces[EXITS_PIECES_MAX]; /* file offsets: the function, then what it jumps to */
	size_t piece_cnt;
	unsigned lost; /* ways out that lead nobody knows where, or for which there was no room */
};

/* 0, perhaps with some lost; or −ENOEXEC, −EIO, and *why in a few words. */
int exits_find(struct object *obj, const struct object_symbol *function, struct exits *exits, const char **why);
/* Whether one of the ways out leads to the code at that file offset. */
bool exits_lead_to(const struct exits *exits, uint64_t offset);
/* Whether the function's first instruction jumps away, behind a landing pad perhaps. */
bool exits_at_once(struct object *obj, const struct object_symbol *function);

/* The code from a file offset on, to the end of the function that it lies in, to be freed. NULL: cannot be read. */
uint8_t *exits_code(struct object *obj, uint64_t offset, size_t *len);

#endif
