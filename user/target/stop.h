/*
 * A process held still for a moment, by ptrace(2) (PTRACE_SEIZE and PTRACE_INTERRUPT: no
 * signal is sent, and a job-control stop stays what it was). If we die, the kernel lets the
 * process go on. Only for a command whose option says that it stops its target.
 */
#ifndef ALLOCTRACE_TARGET_STOP_H
#define ALLOCTRACE_TARGET_STOP_H

#include <sys/types.h>

#include "base/error.h"

struct stop;

/*
 * Stops every thread of pid. The calling thread must also be the one that releases them.
 * −EPERM without the right or if somebody else traces it, −ESRCH, −ETIMEDOUT if a thread
 * stays in the kernel for longer than a second (the caller then ends soon: only our end frees
 * such a thread for sure).
 */
int stop_process(pid_t pid, struct stop **stop, struct error *err);
/* Lets the threads go on, with the signals that reached them meanwhile. NULL-safe. */
void stop_release(struct stop *stop);

#endif
