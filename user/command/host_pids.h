/* --ns-of: PIDs of a command line that are another PID namespace's become ours. */
#ifndef ALLOCTRACE_COMMAND_HOST_PIDS_H
#define ALLOCTRACE_COMMAND_HOST_PIDS_H

#include "base/error.h"
#include "command/options.h"

/* Translates options->pid and options->pids in place. 0 too without --ns-of; −ESRCH, −EACCES. */
int host_pids(struct options *options, struct error *err);

#endif
