/*
 * The marks of a session (detect/marks.h): where they come from, and what of them a snapshot shows. Those
 * of probed functions come as events, others by command (command/mark_server.h).
 */
#ifndef ALLOCTRACE_COMMAND_MARKING_H
#define ALLOCTRACE_COMMAND_MARKING_H

#include <stdbool.h>
#include <stdint.h>

#include "detect/marks.h"
#include "event/source.h"
#include "probe/tracer.h"
#include "picture/snapshot.h"

struct marking;

/* points: the tracer's; NULL, as tracer may be: none. They outlive it. NULL: no memory. */
struct marking *marking_new(pid_t pid, struct tracer *tracer, const struct mark_points *points);
void marking_free(struct marking *marking); /* NULL-safe */

/* EVENT_MARK; live: bytes, as of now. False: it is none of ours. */
bool marking_event(struct marking *marking, const struct event *ev, uint64_t live);
/* Its number; 0: no memory, or MARK_KINDS_MAX kinds. */
uint64_t marking_add(struct marking *marking, const struct mark *mark);
void marking_reading(struct marking *marking, const struct mark_reading *reading);
/* Whether the reading is there that the mark of that number is shown with. */
bool marking_is_read(const struct marking *marking, uint64_t mark);

/* Marks and tallies; s->final is set. In an interval marks that have become known since the last one. */
void marking_fill(struct marking *marking, struct snapshot *s);
/* Functions that were to be marks and are not, in words; NULL: none. Valid until the next call. */
const char *marking_missing(struct marking *marking);

#endif
