/*
 * The loop of attach, run and top: waits for events, heap states, signals and the clock, and gives its
 * audience a picture at every interval and a last one at the end, whatever ends it.
 */
#ifndef ALLOCTRACE_COMMAND_WATCH_H
#define ALLOCTRACE_COMMAND_WATCH_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/log.h"
#include "command/audience.h"
#include "command/options.h"
#include "probe/tracer.h"
#include "target/choice.h"

struct watch_target {
	struct choice *choice; /* whom to watch */
	pid_t pid;             /* the only one there is at first; 0: there are several, or none yet */
	struct tracer *tracer; /* NULL: no probes; freed by the caller */
	const struct audience *audience;
	void *audience_context; /* for its open */
	bool is_child;         /* ours: signals are its business first, and it is waited for */
	int wait_status;       /* out, of a child: as wait(2) gives it */
	/* Called when all is in place: a child that was held may go. NULL: nobody waits for that. */
	void (*on_ready)(struct watch_target *target);
};

/*
 * Blocks the signals that end a session; call before threads are started and before a child
 * is launched (launch_held unblocks them in the child). Returns the descriptor to pass on, or −errno.
 */
int watch_block_signals(void);

/* Until an end. Returns an exit status (command/command.h); of a child's own see wait_status. */
int watch(const struct options *options, struct watch_target *target, int signal_fd, const struct log *log);

#endif
