/*
 * The call on a thread that waits where a stop would disturb it, or that runs: it is met when it
 * comes back from its system call by itself, or when it is to call the allocator, whichever is
 * first. It stands in its own code then, and no system call is interrupted at all.
 */
#ifndef ALLOCTRACE_PURGE_CATCH_H
#define ALLOCTRACE_PURGE_CATCH_H

#include <stdint.h>

#include "probe/catcher.h"
#include "purge/attempt.h"
#include "purge/plan.h"

/* As attempt_call, of a thread that a->call tells where it was seen last; −EAGAIN also when it does not come by the deadline. */
int catch_call(const struct purge_plan *plan, struct catcher *catcher, struct attempt *a, uint64_t deadline_ns);

#endif
