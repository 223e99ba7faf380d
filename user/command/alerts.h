/*
 * --on-window: a command of the user's for each missing-purge window, when it counts and when it
 * has ended, with the window in its environment (the man page has the variables). Every opening
 * is followed by an end, whatever ends the watch.
 */
#ifndef ALLOCTRACE_COMMAND_ALERTS_H
#define ALLOCTRACE_COMMAND_ALERTS_H

#include <stdbool.h>
#include <sys/resource.h>

#include "base/log.h"
#include "command/group.h"
#include "command/naming.h"

struct alerts;

/* The pointers must outlive it; files: hook.h. NULL: no memory. */
struct alerts *alerts_new(const char *command, rlim_t files, const struct naming *naming, const struct log *log);
void alerts_free(struct alerts *alerts); /* NULL-safe */

/* About once a second, and before processes that have ended are buried. */
void alerts_look(struct alerts *alerts, struct group *group);
/* Readable when a command has ended: alerts_act. */
int alerts_fd(const struct alerts *alerts);
void alerts_act(struct alerts *alerts);
/*
 * The watch is over, and with it what is open. Waits some seconds for what runs, so that what waits
 * is run too; less if there is something to be read from signal_fd.
 */
void alerts_end(struct alerts *alerts, struct group *group, int signal_fd);

#endif
