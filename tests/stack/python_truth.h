/* What the test's BPF program sends beside the records of code objects. */
#ifndef ALLOCTRACE_TESTS_PYTHON_TRUTH_H
#define ALLOCTRACE_TESTS_PYTHON_TRUTH_H

#include "python.h"

#define TRUTH_KIND 1000 /* none of enum event_kind */

struct truth {
	__u32 kind, tid;
	__u64 size; /* asked for */
	__u32 cnt, end;
	struct python_frame frames[PYTHON_FRAMES_MAX];
};

#endif
