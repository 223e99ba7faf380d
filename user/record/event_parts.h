/* Events in a recording: rows as differences from the row before, for both directions (record/codec.h). */
#ifndef ALLOCTRACE_RECORD_EVENT_PARTS_H
#define ALLOCTRACE_RECORD_EVENT_PARTS_H

#include "event/row.h"
#include "record/codec.h"

/* What a row is stored as a difference from: the row before it. All zero at first. */
struct event_before {
	uint64_t time_ns, addr;
	int64_t tid, pid;
};
/* Of blocks, drop, duration_ns and text take no room. */
void code_event_row(struct codec *c, struct event_row *row, struct event_before *before);

#endif
