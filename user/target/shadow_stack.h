/*
 * Whether a thread has a shadow stack (x86-64's CET, CONFIG_X86_USER_SHADOW_STACK, since 6.6): what of a call is not on
 * it too kills the process at the return.
 */
#ifndef ALLOCTRACE_TARGET_SHADOW_STACK_H
#define ALLOCTRACE_TARGET_SHADOW_STACK_H

#include <stdbool.h>
#include <sys/types.h>

/* status: the text of the thread's /proc/PID/task/TID/status. */
bool shadow_stack_in(const char *status);
/* Of the process's first thread, whose choice all others inherit; true as well if it cannot be told. */
bool shadow_stack_of(pid_t pid);

#endif
