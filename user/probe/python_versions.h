/*
 * Where CPython keeps what a walk of its frames reads, by version: one row each.
 *
 * A row to add for the next version: compile offsetof() against its internal headers (or, from
 * 3.13 on, check that _Py_DebugOffsets says the same), look whether the owner of shim frames
 * (enum _frameowner), the tags of f_executable and the line table are as before, and put the
 * version into the tests' list.
 */
#ifndef ALLOCTRACE_PROBE_PYTHON_VERSIONS_H
#define ALLOCTRACE_PROBE_PYTHON_VERSIONS_H

#include <stddef.h>
#include <stdint.h>

#include "../bpf/python.h"

/* How _Py_DebugOffsets, at the beginning of _PyRuntime, begins: all versions from 3.13 on. */
#define PYTHON_DEBUG_COOKIE "xdebugpy"
#define PYTHON_DEBUG_VERSION 8        /* PY_VERSION_HEX */
#define PYTHON_DEBUG_FREE_THREADED 16 /* 0 or 1 */

/* Where it tells a place: a word each. */
struct python_debug {
	uint16_t interpreters_head;
	uint16_t interpreter_size, interpreter_id, next_interpreter, threads_head, next_thread;
	uint16_t current_frame, thread_id;
	uint16_t previous, executable, instr_ptr, owner;
	uint16_t filename, qualname, linetable, first_line, code_bytes;
	uint16_t asciiobject_size;
	uint16_t size; /* up to the last of them */
};

/* In bytes from the beginning of its struct; what python_layout wants is made of it. */
struct python_row {
	uint16_t version; /* 0x30b is 3.11 */
	uint16_t tss;     /* _PyRuntimeState: autoTSSkey */
	uint16_t thread_frame, thread_id;
	uint16_t cframe_frame;
	uint16_t frame_code, frame_back, frame_at, frame_owner;
	uint16_t first_line, file, name, lines, code_bytes;
	uint8_t has_cframe, at_shift, code_tags, shim_owner, rule;
	uint8_t text_ascii, text_wide;
	const struct python_debug *debug; /* NULL: the version has none */
};

extern const struct python_row python_rows[];
extern const size_t python_row_cnt;
/* NULL: not known. */
const struct python_row *python_row_of(unsigned version);

#endif
