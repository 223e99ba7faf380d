/*
 * Purges in flight: while there is one, what other threads add to RSS is counted. That slows
 * every page fault of the machine, so it is on for no longer, never for a purge whose end
 * will not come, and not many times a second: what it misses, fault counts make up for.
 */
#ifndef ALLOCTRACE_PROBE_WATCH_H
#define ALLOCTRACE_PROBE_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event/source.h"
#include "probe/programs.h"

#define WATCH_PURGES_MAX 64

struct watch {
	struct {
		uint64_t id, time;
		uint32_t tgid, tid;
	} purges[WATCH_PURGES_MAX];
	size_t cnt;
	uint64_t last_begin; /* when it was last turned on */
	bool on;
};

/* Takes note of an event that begins or ends a purge, or its thread. */
void watch_event(struct watch *watch, const struct event *ev);
/* After the ring has been consumed: on if a purge is still in flight, else off. */
int watch_apply(struct watch *watch, struct programs *programs);

#endif
