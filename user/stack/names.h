/*
 * Names of locations, found by a thread of its own (one for all processes) when a report asks for
 * them: symbols first, then lines and inlined calls, so that a report waits for a bounded time
 * however large the debug files are, and what came too late is in the next one.
 *
 * Whoever reads names does so between names_begin and names_end; they change only in names_wait.
 */
#ifndef ALLOCTRACE_STACK_NAMES_H
#define ALLOCTRACE_STACK_NAMES_H

#include <stdint.h>

#include "base/log.h"
#include "stack/location.h"

struct names;

/* NULL: no memory. locations and log must outlive it; a log that is a terminal is shown the progress. */
struct names *names_new(struct locations *locations, const struct log *log);
/* NULL-safe. False: the thread is in the midst of something long, and still reads the locations. */
bool names_free(struct names *names);

/* A report begins, which waits for lines for so long in all; for symbols a bit longer. */
void names_begin(struct names *names, uint64_t patience_ns);
void names_end(struct names *names);
/* Asks for a location's names; at is NULL: nothing happens. names is NULL: all are known (tests). */
void names_want(struct names *names, struct location *at);
/* Waits for what was asked for, as long as the report may. */
void names_wait(struct names *names);

/* As far as they are known; at may be NULL. Outermost first. */
const struct frame_list *names_of(const struct location *at);

#endif
