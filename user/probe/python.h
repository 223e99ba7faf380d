/*
 * CPython in a process: which object carries it (the program, libpython, whatever embeds it),
 * which version it is, and where it keeps its frames. Read-only; knows nothing of BPF.
 *
 * The version is told by what the object exports, not by its name: Py_Version from 3.11 on,
 * before that by functions that a version was the first to have.
 */
#ifndef ALLOCTRACE_PROBE_PYTHON_H
#define ALLOCTRACE_PROBE_PYTHON_H

#include <stddef.h>
#include <stdint.h>

#include "../bpf/python.h"
#include "base/error.h"
#include "target/maps.h"
#include "target/memory.h"
#include "target/objects.h"

#define PYTHON_EVALS_MAX 4

struct python_eval {
	uint64_t start, end; /* in the process */
};

/* Where the evaluating function lies, in one or more pieces. Not needed by PYTHON_BY_ADDRESS. */
struct python_evals {
	struct python_eval v[PYTHON_EVALS_MAX];
	size_t cnt;
};

struct python {
	struct python_layout layout;
	struct python_evals evals;
	uint64_t text; /* an address in the interpreter's own code */
};

/* Of an object that carries CPython, by its file: 0x30b is 3.11; 0: before 3.8, or none. */
unsigned python_version(struct object *obj);
/*
 * 0; −ENOENT: the process has no CPython (yet: it may load one later); −ENOTSUP: one whose
 * frames are not read, err says which and why. The layout is good for the life of the program:
 * what is not initialised yet at its start the kernel side reads at each walk.
 */
int python_find(struct memory *mem, const struct maps *maps, struct objects *objects, struct python *python,
		struct error *err);

#endif
