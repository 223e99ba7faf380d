/*
 * Starts a command and holds it, for `run`: before its first own instruction, but with its
 * libraries mapped, so that probes can be placed in all of them. Our own child is traced
 * (ptrace) only until then. x86-64: the hold is a breakpoint in the loader.
 */
#ifndef ALLOCTRACE_TARGET_LAUNCH_H
#define ALLOCTRACE_TARGET_LAUNCH_H

#include <sys/types.h>

#include "base/error.h"

/*
 * Forks and execs argv[0] (found through PATH). On return the child *pid is held after the
 * loader mapped its libraries and before any constructor ran (a static program: at its first
 * instruction). −ENOENT, −EACCES, −ENOEXEC: what exec said. −ECHILD: it ended before (a
 * library missing, say), *status as wait(2) gives it.
 */
int launch_held(char *const argv[], pid_t *pid, int *status, struct error *err);
/* Lets it go; it is no longer traced. 0 or −errno. */
int launch_release(pid_t pid);

#endif
