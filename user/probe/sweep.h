/*
 * Takes breakpoints out of forked children. When a link is removed the kernel visits every
 * process that maps the file and takes the breakpoints out where no link wants them any
 * more: so a second link on the target itself, at the same offsets, with a program that does
 * nothing, is opened and closed. That serves all children at once, dead ones included.
 * Closing waits for grace periods, which a thread of its own does.
 */
#ifndef ALLOCTRACE_PROBE_SWEEP_H
#define ALLOCTRACE_PROBE_SWEEP_H

#include <stdbool.h>
#include <sys/types.h>

#include "probe/keeper.h"
#include "probe/plan.h"

struct sweep;

struct sweep *sweep_new(struct keeper *keeper, int prog_fd, pid_t pid); /* NULL: no memory */
void sweep_free(struct sweep *sweep); /* NULL-safe; waits for the thread */

void sweep_want(struct sweep *sweep);
/* Wanted, none running, and the last is some time ago: each visits every process that maps the files. */
bool sweep_is_due(struct sweep *sweep);
/* A file of the next sweep. What cannot be remembered is not swept. */
void sweep_add(struct sweep *sweep, const char *path, const struct plan *plan);
void sweep_start(struct sweep *sweep);

#endif
