/*
 * The frames of a thread that stands still, followed by libdwfl through call frame information
 * alone: where code has none, the stack is cut there, and nothing is guessed (libdwfl itself
 * would go on by frame pointers). What the stack of a thread that runs looks like is the kernel
 * side's to find out (bpf/frames.bpf.c). x86-64: DWARF's numbers of its registers.
 */
#ifndef ALLOCTRACE_STACK_BACKTRACE_H
#define ALLOCTRACE_STACK_BACKTRACE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

#include "target/maps.h"
#include "target/objects.h"

struct backtrace;

/* Of a process with these mappings; both must outlive it. NULL: no memory, or no object can be read. */
struct backtrace *backtrace_new(pid_t pid, const struct maps *maps, struct objects *objects);
void backtrace_free(struct backtrace *bt); /* NULL-safe */

/* Reads the call frame information that covers an address now, so that it is not read while a thread stands. */
void backtrace_prepare(struct backtrace *bt, uint64_t addr);

struct backtrace_frame {
	uint64_t pc;  /* where it stands, or where its callee returns to */
	bool exact;   /* it stands there: the innermost, or one that a signal interrupted */
	bool signal;  /* a signal frame: what lies outside of it was interrupted by a handler */
};

enum backtrace_end {
	BACKTRACE_WHOLE, /* followed to the outermost function */
	BACKTRACE_CUT,   /* there is code without call frame information, or memory that cannot be read */
	BACKTRACE_TAKEN, /* fn said so */
};

/* Calls fn for each frame, the innermost first, until it returns true. tid stands with these registers. */
enum backtrace_end backtrace_each(struct backtrace *bt, pid_t tid, const struct user_regs_struct *regs,
				  bool (*fn)(const struct backtrace_frame *frame, void *arg), void *arg);

#endif
