/*
 * Where events come from: the live ring (probe/), later a recording. One consumer, ring order.
 */
#ifndef ALLOCTRACE_EVENT_SOURCE_H
#define ALLOCTRACE_EVENT_SOURCE_H

#include <stddef.h>
#include <stdint.h>

#include "../bpf/event.h"

/* Losses by cause, cumulative; the first LOSS_CNT are the kernel side's. */
enum source_loss {
	SOURCE_LOSS_MALFORMED = LOSS_CNT, /* a record of a size or kind that does not exist */
	SOURCE_LOSS_PROBES,               /* probes that could not be placed */
	SOURCE_LOSS_CNT
};

/* JSON names, indexed by enum loss / source_loss. */
extern const char *const source_loss_names[SOURCE_LOSS_CNT];

/*
 * One decoded record; exactly one of the pointers is set, as kind says. Valid during the callback.
 */
struct event {
	const struct event_head *head;
	union {
		const struct event_purge_begin *purge_begin;
		const struct event_purge *purge;
		const struct event_dlopen *dlopen;
		const struct event_dlclose *dlclose;
		const struct event_memory *memory;
		const struct event_fork *fork;
		const struct event_exec *exec;
		const struct event_exit *exit;
		const struct event_block *block;
		const struct event_stack *stack;
		const struct event_code *code;
		const struct event_collection *collection;
		const struct event_mark *mark;
		const struct event_cell *cell;
	};
};

/* Checks size, kind and strings of a raw record: 0, or −EBADMSG. */
int event_decode(const void *record, size_t len, struct event *ev);

#endif
