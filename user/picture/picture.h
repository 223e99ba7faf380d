/*
 * All that one report is made of: a snapshot a process, and what is said of them together. Taken
 * of a running watch (command/camera.h) or out of a recording (record/replay.h); what is printed
 * and written is the same for both.
 */
#ifndef ALLOCTRACE_PICTURE_PICTURE_H
#define ALLOCTRACE_PICTURE_PICTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "picture/snapshot.h"

enum picture_kind {
	PICTURE_INTERVAL,
	PICTURE_ENDS,  /* of processes that have ended while others go on: their last, and nothing else */
	PICTURE_FINAL, /* everything since the attach */
};

struct picture {
	enum picture_kind kind;
	const struct snapshot *const *v; /* by PID; those that ended since the last one too. No cgroup, no history in them */
	size_t cnt;
	uint64_t time_ns, started_ns;    /* CLOCK_MONOTONIC */
	int64_t epoch_ns;                /* the wall clock's lead over it then (base/clock.h) */
	const char *title;               /* of several together */
	const char *ended;               /* why it is the final one; NULL */
	bool with_ended;                 /* what they held at their end counts: the end of a command */
	const struct cgroup_view *cgroup; /* NULL: none */
	uint64_t first, ever;            /* processes: at the start, and until now */
	uint64_t living, went, left_out, too_short; /* as in struct process_rows, since the start */
};

#endif
