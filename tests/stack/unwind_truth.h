/* What the kernel side of unwind_truth hands over of one event. */
#ifndef ALLOCTRACE_UNWIND_TRUTH_H
#define ALLOCTRACE_UNWIND_TRUTH_H

#include "event.h"

#define TRUTH_STACK 65536 /* bytes copied at most; multiple of 512 */

struct truth {
	__u64 registers[17]; /* in DWARF's numbering (x86-64 psABI, figure 3.36); 16: the instruction pointer */
	__u32 tid, end, cnt; /* enum stack_end */
	__u32 stack_size;
	__u64 frames[EVENT_FRAMES_MAX];
	__u8 stack[TRUTH_STACK];
};

#endif
