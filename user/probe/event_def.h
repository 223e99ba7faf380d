/*
 * Uprobe events that are defined in tracefs: unlike those of the uprobe PMU, which the kernel would
 * open anew in the context of each fork (a path of ours, read from the child's memory: its fork fails
 * with EFAULT), events of these are inherited. A definition outlives whoever made it: it is named after
 * the process that did, and removed by the next that comes when that is gone.
 */
#ifndef ALLOCTRACE_PROBE_EVENT_DEF_H
#define ALLOCTRACE_PROBE_EVENT_DEF_H

#include <stdint.h>

#include "probe/link.h"

struct event_def {
	char name[64]; /* GROUP/EVENT; "": none */
	uint64_t id;   /* of the tracepoint, for perf_event_open */
};

/*
 * Defines one event for all the request's spots, at entry or return. Needs no mounted tracefs. −errno: the
 * kernel refuses a spot, has no CONFIG_UPROBE_EVENTS, or no several probes an event (before 5.4).
 */
int event_def_add(const struct link_request *request, struct event_def *def);
/* Its events are closed, or about to be: waits for those. Idempotent. */
void event_def_remove(struct event_def *def);

#endif
