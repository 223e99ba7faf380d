/*
 * Python frames at their places among the native ones: they stand for the native frames of the
 * function that evaluates them, _PyEval_EvalFrameDefault.
 *
 * Done here and not in the kernel: it needs nothing that is gone by then, what cannot be
 * matched can still be told apart from what can, and a stack is merged once, when it is first
 * seen. What only the kernel can know, in which native frame a shim lies, is in the record
 * (python_frame.native), so that no stack pointer needs to be: those differ among calls that
 * are the same stack.
 *
 * Of a call into another interpreter of the same thread the thread tells one side: up to 3.11
 * the caller's frames, from 3.12 on those of the interpreter that runs. The native frames of
 * the evaluating function on the other side stay what they are.
 */
#ifndef ALLOCTRACE_STACK_PYTHON_MERGE_H
#define ALLOCTRACE_STACK_PYTHON_MERGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../bpf/python.h"
#include "probe/python.h"

/* Frames innermost first. */
struct python_stack {
	const uint64_t *pcs; /* return addresses */
	size_t pc_cnt;
	bool pcs_whole; /* the native stack was left up to its end */
	const struct python_frame *frames;
	size_t frame_cnt;
	bool frames_whole; /* PYTHON_WHOLE */
	enum python_rule rule;
};

struct python_merged {
	const struct python_frame *python; /* NULL: the native frame pc */
	uint64_t pc;
};

/*
 * Innermost first into out, which has room for pc_cnt + frame_cnt; how many. Shims and hidden
 * frames are left out. Frames that no native frame could be found for come where they must
 * have been called from: behind all that is known to be inside them.
 */
size_t python_merge(const struct python_evals *evals, const struct python_stack *stack,
		    struct python_merged *out);

#endif
