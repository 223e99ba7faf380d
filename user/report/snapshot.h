/*
 * The immutable picture from which every output is made. Built by a command (command/session.c)
 * from the last heap state, the detectors' views and the losses; borrowed pointers live as
 * long as the call that reports it. UNKNOWN figures (heap/state.h) print as null or "–".
 */
#ifndef ALLOCTRACE_REPORT_SNAPSHOT_H
#define ALLOCTRACE_REPORT_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "detect/churn.h"
#include "detect/purge.h"
#include "detect/returned.h"
#include "detect/window.h"
#include "event/source.h"
#include "heap/state.h"

struct snapshot {
	uint64_t time_ns;     /* CLOCK_MONOTONIC; outputs convert (base/clock.h) */
	uint64_t started_ns;  /* the attach */
	uint64_t interval_ns; /* since the previous snapshot */
	pid_t pid;
	const char *command;  /* comm */
	bool final;
	const char *ended;    /* why it is final: "the target exited with status 0", "interrupted", …; NULL */
	uint64_t rss, lazy_free, swap; /* lazy_free UNKNOWN where it would cost too much to read now */
	const struct heap_state *heap; /* taken_ns 0: no walk yet */
	struct returned returned;
	/* In an interval: what returned, was open or changed in it. In the final one: all since the attach. */
	const struct purge_finding *const *purges;
	size_t purge_cnt;
	uint64_t purges_total;
	const struct window_finding *windows;
	size_t window_cnt;
	const struct churn_finding *const *churn;
	size_t churn_cnt;
	uint64_t lost[SOURCE_LOSS_CNT];
	const char *const *missing; /* what is not seen, and why */
	size_t missing_cnt;
};

/* One output form: 0, or −errno of the stream (−EPIPE: nobody reads any more). */
int report_text(FILE *out, const struct snapshot *s, bool colour);
int report_json(FILE *out, const struct snapshot *s);
/* `alloctrace heap`: the walk in full. */
int report_heap_text(FILE *out, const struct snapshot *s);

#endif
