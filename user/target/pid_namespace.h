/*
 * PIDs as another PID namespace numbers them: those that a container's own ps prints. One process has
 * a number in its own namespace and in every one around it (pid_namespaces(7)).
 */
#ifndef ALLOCTRACE_TARGET_PID_NAMESPACE_H
#define ALLOCTRACE_TARGET_PID_NAMESPACE_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"

/*
 * Which process has the number pid in the namespace that member is in; member and *found are numbers of our own.
 * −ESRCH: none, or no process member; −EACCES: member's namespace may not be looked at.
 */
int pid_namespace_find(pid_t member, pid_t pid, pid_t *found, struct error *err);
/* Whether pid is in the namespace that we are in; also if that cannot be told. */
bool pid_namespace_is_own(pid_t pid);
/* The number of pid in its own namespace, the innermost; −ESRCH. */
int pid_namespace_own(pid_t pid, pid_t *own);

#endif
