/*
 * Stacks by the tables of bpf/unwind.h: the walk that the kernel side makes, for stacks that it
 * hands over unfinished, and for tests. Where a process's memory comes from is the caller's
 * business. x86-64.
 */
#ifndef ALLOCTRACE_STACK_UNWIND_H
#define ALLOCTRACE_STACK_UNWIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../bpf/unwind.h"

/* As the kernel side has them; every index is checked. */
struct unwind_tables {
	const struct unwind_process *process; /* its mappings: entries of pages */
	const struct unwind_row *rows;
	size_t row_cnt;
	const uint64_t *pages; /* row numbers count from rows[0] */
	size_t page_cnt;
};

struct unwind_registers {
	uint64_t pc, sp, fp, bx;
};

/* Reads the 8 bytes at addr, an address of the process; false if they cannot be read. */
typedef bool unwind_read_fn(void *arg, uint64_t addr, uint64_t *word);

enum unwind_outcome {
	UNWOUND,           /* up to the outermost function, or to a return address of 0 */
	UNWIND_NO_MAPPING, /* the last frame's code is mapped from no object that is known */
	UNWIND_NO_RULE,    /* no row for it, an UNWIND_INVALID one, or one by which the stack does not grow */
	UNWIND_UNREADABLE, /* the stack could not be read */
	UNWIND_TOO_DEEP,   /* there are more than cap frames */
};

/*
 * Fills frames with at most cap addresses of code, innermost first: regs->pc, then return
 * addresses (of what a signal interrupted: the very instruction). *cnt of them are good
 * whatever the outcome.
 */
enum unwind_outcome unwind_stack(const struct unwind_tables *tables, const struct unwind_registers *regs,
				 unwind_read_fn *read, void *arg, uint64_t *frames, size_t cap, size_t *cnt);

#endif
