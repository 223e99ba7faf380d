/*
 * A command of the user's that is run when something happens to a process (--on-window): through
 * /bin/sh, one at a time for each process. What happens meanwhile waits; of what waits only the newest
 * is kept, and the rest is counted as skipped. Starting one waits for nothing.
 *
 * The command gets the variables of its event beside our own environment, no input, our stderr for both
 * of its outputs and none of our other files, a session of its own, signals as a new program has
 * them, and HOOK_SECONDS: then it and all it has started is sent SIGTERM, and five seconds later SIGKILL.
 */
#ifndef ALLOCTRACE_COMMAND_HOOK_H
#define ALLOCTRACE_COMMAND_HOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "base/log.h"

#define HOOK_SECONDS 60
#define HOOK_AT_ONCE 16 /* of all processes */

struct hook_variable {
	const char *name, *value; /* value: any bytes, made printable; NULL is "" */
};

struct hook;

struct hook_options {
	const char *command, *option; /* the option's name, for complaints; both outlive the hook */
	rlim_t files;                 /* that a command may have open */
	unsigned seconds;             /* that it may take: HOOK_SECONDS but in tests */
};

struct hook *hook_new(const struct hook_options *options, const struct log *log); /* NULL: no memory */
/* What still runs is left alone, and that is said, as is how much was skipped. NULL-safe. */
void hook_free(struct hook *hook);

/* Something has happened to that process. Variables are copied; HOOK_SKIPPED is added. */
void hook_fire(struct hook *hook, pid_t pid, const struct hook_variable *variables, size_t cnt);
#define HOOK_SKIPPED "ALLOCTRACE_SKIPPED" /* how many of the process's events before it were skipped */

/* Readable when a command has ended: hook_act. */
int hook_fd(const struct hook *hook);
void hook_act(struct hook *hook);
void hook_tick(struct hook *hook);          /* about once a second: what takes too long is ended */
bool hook_is_idle(const struct hook *hook); /* nothing runs, nothing waits */

#endif
