#include "probe/python_versions.h"

/* clang-format off: tables */

/* Internals of _Py_DebugOffsets: Include/internal/pycore_runtime.h of 3.13. */
static const struct python_debug debug_3_13 = {
	.interpreters_head = 40, .interpreter_size = 48, .interpreter_id = 56, .next_interpreter = 64,
	.threads_head = 72,
	.next_thread = 168, .current_frame = 184, .thread_id = 192,
	.previous = 232, .executable = 240, .instr_ptr = 248, .owner = 264,
	.filename = 280, .qualname = 296, .linetable = 304, .first_line = 312, .code_bytes = 344,
	.asciiobject_size = 560, .size = 568,
};
/* pycore_debug_offsets.h of 3.14: three more words on interpreters, two on frames, and so on. */
static const struct python_debug debug_3_14 = {
	.interpreters_head = 40, .interpreter_size = 48, .interpreter_id = 56, .next_interpreter = 64,
	.threads_head = 72,
	.next_thread = 192, .current_frame = 208, .thread_id = 216,
	.previous = 256, .executable = 264, .instr_ptr = 272, .owner = 288,
	.filename = 320, .qualname = 336, .linetable = 344, .first_line = 352, .code_bytes = 384,
	.asciiobject_size = 640, .size = 648,
};

/*
 * LP64, as offsetof() of each version's headers gives them: _PyRuntimeState and PyThreadState
 * (Include/internal/pycore_runtime.h, Include/cpython/pystate.h), PyFrameObject up to 3.10
 * (Include/cpython/frameobject.h), _PyInterpreterFrame from 3.11 on (pycore_frame.h; 3.14
 * pycore_interpframe_structs.h), PyCodeObject (Include/cpython/code.h).
 */
const struct python_row python_rows[] = {
	{0x308, .tss = 1392, .thread_frame = 24, .thread_id = 176,
	 .frame_code = 32, .frame_back = 24, .frame_at = 104,
	 .first_line = 40, .file = 104, .name = 112, .lines = 120,
	 .rule = PYTHON_BY_COUNT, .text_ascii = 48, .text_wide = 72},
	{0x309, .tss = 584, .thread_frame = 24, .thread_id = 176,
	 .frame_code = 32, .frame_back = 24, .frame_at = 104,
	 .first_line = 40, .file = 104, .name = 112, .lines = 120,
	 .rule = PYTHON_BY_COUNT, .text_ascii = 48, .text_wide = 72},
	{0x30a, .tss = 584, .thread_frame = 24, .thread_id = 176,
	 .frame_code = 32, .frame_back = 24, .frame_at = 96, .at_shift = 1,
	 .first_line = 40, .file = 104, .name = 112, .lines = 120,
	 .rule = PYTHON_BY_COUNT, .text_ascii = 48, .text_wide = 72},
	{0x30b, .tss = 592, .thread_frame = 56, .thread_id = 152, .has_cframe = 1, .cframe_frame = 8,
	 .frame_code = 32, .frame_back = 48, .frame_at = 56, .frame_owner = 68,
	 .first_line = 72, .file = 112, .name = 128, .lines = 136, .code_bytes = 184,
	 .rule = PYTHON_BY_ENTRY, .text_ascii = 48, .text_wide = 72},
	{0x30c, .tss = 1544, .thread_frame = 56, .thread_id = 136, .has_cframe = 1, .cframe_frame = 0,
	 .frame_code = 0, .frame_back = 8, .frame_at = 56, .frame_owner = 70, .shim_owner = 3,
	 .first_line = 68, .file = 112, .name = 128, .lines = 136, .code_bytes = 192,
	 .rule = PYTHON_BY_ADDRESS, .text_ascii = 40, .text_wide = 56},
	{0x30d, .tss = 2160, .thread_frame = 72, .thread_id = 152,
	 .frame_code = 0, .frame_back = 8, .frame_at = 56, .frame_owner = 70, .shim_owner = 3,
	 .first_line = 68, .file = 112, .name = 128, .lines = 136, .code_bytes = 200,
	 .rule = PYTHON_BY_ADDRESS, .text_ascii = 40, .text_wide = 56, .debug = &debug_3_13},
	/* _PyStackRef: the low two bits of f_executable are tags. */
	{0x30e, .tss = 2336, .thread_frame = 72, .thread_id = 152,
	 .frame_code = 0, .frame_back = 8, .frame_at = 56, .frame_owner = 74, .shim_owner = 3, .code_tags = 3,
	 .first_line = 68, .file = 112, .name = 128, .lines = 136, .code_bytes = 208,
	 .rule = PYTHON_BY_ADDRESS, .text_ascii = 40, .text_wide = 56, .debug = &debug_3_14},
};
/* clang-format on */
const size_t python_row_cnt = sizeof(python_rows) / sizeof(python_rows[0]);

const struct python_row *python_row_of(unsigned version)
{
	for (size_t i = 0; i < python_row_cnt; i++)
		if (python_rows[i].version == version)
			return &python_rows[i];
	return NULL;
}
