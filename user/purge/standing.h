/*
 * A thread that stands: whether the purge may be called on it there, and the call. It may, where
 * its program could have called the allocator itself: no frame of it is in code that ground.h
 * forbids. And it may where its seccomp filters let the purge's own system calls pass, and it
 * has stack left for it.
 */
#ifndef ALLOCTRACE_PURGE_STANDING_H
#define ALLOCTRACE_PURGE_STANDING_H

#include <stdbool.h>

#include "purge/attempt.h"
#include "purge/plan.h"
#include "target/thread_stack.h"
#include "target/tracee.h"

/*
 * 0, or −EAGAIN and a->why; the thread stands on. at_entry: it stands at the first instructions
 * of an allocator's function, which it has not begun.
 */
int standing_check(const struct purge_plan *plan, struct attempt *a, const struct tracee *t,
		   const struct user_regs_struct *regs, bool at_entry, struct thread_stack *stack);

/* Makes the call, and lets the thread go in any case: as remote_call, but −EAGAIN (a->why) for all that did not begin. */
int standing_call(const struct purge_plan *plan, struct attempt *a, struct tracee *t,
		  const struct user_regs_struct *regs, const struct thread_stack *stack);

#endif
