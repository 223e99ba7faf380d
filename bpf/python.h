/*
 * CPython's frames, shared by both sides: where the interpreter of a process keeps them
 * (user/probe/python.h finds out), what the kernel side reads of each, and how they take the
 * place of the interpreter's own native frames (user/stack/python_merge.h).
 *
 * CPython 3.8 to 3.14 with a GIL, on x86-64 and glibc.
 */
#ifndef ALLOCTRACE_PYTHON_H
#define ALLOCTRACE_PYTHON_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

#define PYTHON_FRAMES_MAX 128 /* a power of two */
#define PYTHON_SPS_MAX 128    /* a power of two: native frames, and where the last one ends */
#define PYTHON_READ_MAX 128   /* bytes of a frame, or of a code object, that are read at once */
#define PYTHON_STATE_MAX 256  /* bytes of a PyThreadState from thread_frame to thread_id, whichever is first */
#define PYTHON_NOWHERE 0xffff

/* How Python frames and native frames of the function that evaluates them belong together. */
enum python_rule {
	PYTHON_BY_COUNT,   /* up to 3.10: a call of it evaluates one frame */
	PYTHON_BY_ENTRY,   /* 3.11: and the frames that one calls; is_entry marks the outermost */
	PYTHON_BY_ADDRESS, /* from 3.12 on: it keeps a shim frame in its own native frame, their outermost */
};

enum python_kind {
	PYTHON_CODE = 1,
	PYTHON_ENTRY,  /* code that a native call of the evaluating function began with (3.11) */
	PYTHON_SHIM,   /* no code: marks a native call of it (from 3.12 on) */
	PYTHON_HIDDEN, /* the interpreter's own glue, which Python does not show either (from 3.12 on) */
};

/* One frame of a thread, innermost first. A stack is the same iff all of this is. */
struct python_frame {
	__u64 code;   /* id of an event_code; 0: none (a shim, or it could not be had) */
	__s32 at;     /* byte offset of the instruction; −1: before the first */
	__u16 native; /* PYTHON_SHIM: index of the native frame that holds it, or PYTHON_NOWHERE */
	__u8 kind;    /* enum python_kind */
	__u8 pad;
};

/* Why a walk ended. */
enum python_end {
	PYTHON_WHOLE,      /* all frames of the thread, perhaps none */
	PYTHON_CUT,        /* there are more than PYTHON_FRAMES_MAX */
	PYTHON_UNREADABLE, /* a frame could not be read: those inside it were */
	PYTHON_FOREIGN,    /* what should be the thread's state says that it is another thread's */
};

/*
 * Where a process keeps what a walk reads. A "place" is an offset in its struct. What lies
 * near is read at once: a frame's first frame_size bytes, and code_size bytes of a code object
 * from code_first_line on, in which the code's other places are counted from there.
 */
struct python_layout {
	__u64 tss;     /* _PyRuntime's autoTSSkey (Py_tss_t: int, pthread_key_t): address in the process */
	__u32 version; /* 0x30b is 3.11 */
	__u16 thread_frame; /* PyThreadState: frame; cframe (3.11, 3.12); current_frame */
	__u16 thread_id;    /* PyThreadState: thread_id, which is the thread pointer */
	__u16 cframe_frame; /* _PyCFrame: current_frame */
	__u16 code_bytes; /* PyCodeObject: co_code_adaptive, which instructions are counted from (3.11 on) */
	__u16 code_first_line;
	__u8 code_file, code_name, code_lines; /* from code_first_line on */
	__u8 code_size;
	__u8 frame_code, frame_back, frame_at, frame_owner; /* owner: is_entry on 3.11 */
	__u8 frame_size;
	__u8 has_cframe; /* thread_frame leads to a _PyCFrame */
	__u8 rule;       /* enum python_rule */
	__u8 at_shift;   /* up to 3.10: f_lasti counts units of 1 << at_shift bytes */
	__u8 code_tags;  /* low bits of a frame's code that are none of its address (3.14: _PyStackRef) */
	__u8 shim_owner; /* a frame of this owner or above is a shim */
	__u8 text_ascii,
		text_wide; /* sizeof(PyASCIIObject), sizeof(PyCompactUnicodeObject): where the text is */
	__u8 pad[6];
	__u32 key;       /* the kernel side's own: what tss was found to hold, plus 1; 0: not looked yet */
};

#endif
