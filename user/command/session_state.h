/* What a session knows: session.c takes events and readings in, session_snapshot.c shows it. */
#ifndef ALLOCTRACE_COMMAND_SESSION_STATE_H
#define ALLOCTRACE_COMMAND_SESSION_STATE_H

#include "command/marking.h"
#include "command/readings.h"
#include "command/session.h"
#include "detect/churn.h"
#include "detect/collector.h"
#include "detect/own_returns.h"
#include "detect/purge.h"
#include "detect/returned.h"
#include "stack/addresses.h"
#include "stack/owner.h"

#define MISSING_MAX 16

struct session {
	struct process *process;
	pid_t forked_from;     /* its interpreter's frames are its own, as long as it is not attached to; 0:
				  nobody's */
	struct tracer *tracer; /* NULL: states only */
	struct names *names;   /* the naming's */
	struct addresses *addresses;
	struct stacks *stacks;
	struct sampler *sampler;
	struct sample now, before;          /* the newest reading and the one before it */
	struct readings readings, reported; /* since the last snapshot, and what that one shows */
	struct process_usage usage;         /* the newest */
	uint64_t hurried_ns;                /* when a reading was asked for; 0: never */

	struct purge_log *purges;
	struct window_detector *windows;
	struct churn_log *churn;
	struct collector *collector;
	struct marking *marking;
	struct window_options window_options;
	struct returned returned;
	struct own_returns own_returns;
	struct owners *owners;               /* whose code gives memory back */
	const struct allocator *const *more; /* asked for by the user */
	struct allocs *allocs;               /* NULL: without allocation events */

	uint64_t started_ns, reported_ns;
	uint64_t purges_reported;
	bool out_of_memory; /* the OOM killer has chosen it */
	bool killed;        /* a signal has ended it */
	char target_end[96];

	/* What the last snapshot points to. */
	const struct churn_finding **churn_rows;
	struct window_finding *window_rows;
	struct collector_gap *gap_rows;
	const char *missing[MISSING_MAX];
	char unread[ERROR_TEXT_MAX + 32], unfound[256];
};

#endif
