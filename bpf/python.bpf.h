/*
 * The Python frames of the current thread, read while it stands still in a probe: its state
 * by thread-specific data (which holds with the GIL and without it), from there frame by frame.
 *
 * How a native unwinder uses it: it owns a struct python_walk in a scratch that survives
 * preemption, writes the stack pointers of the frames that it has found into sps, calls
 * python_walk(), and puts frames[0 … cnt) and end behind its own frames in the stack's record
 * and hash. What is in sps is in neither. Records of code objects that were not known are
 * in the ring when python_walk() returns. In a process without a layout it costs a lookup.
 */
#ifndef ALLOCTRACE_PYTHON_BPF_H
#define ALLOCTRACE_PYTHON_BPF_H

#include "events.bpf.h"
#include "mix.bpf.h"
#include "python.h"

/* What a code object points to: with its address and the process this tells it from all others. */
struct code_key {
	u64 code, name, file, lines;
	u32 first_line, pad;
};

struct python_layouts_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, u32); /* tgid */
	__type(value, struct python_layout);
	__uint(max_entries, TRACED_MAX);
};
extern struct python_layouts_map python_layouts SEC(".maps");

#define PYTHON_WINDOW 512 /* a power of two */

struct python_walk {
	/* In: native frame i, innermost first, covers [sps[i], sps[i + 1]). */
	u64 sps[PYTHON_SPS_MAX];
	u32 sp_cnt; /* one more than there are frames, if it is known where the last one ends */

	/* Out. */
	u32 cnt;
	u32 end;  /* enum python_end */
	u32 rule; /* enum python_rule */
	struct python_frame frames[PYTHON_FRAMES_MAX];

	/* Its own. */
	u64 next;            /* the frame to be read */
	struct code_key key; /* of the code object that was looked at last */
	u64 id;              /* of it */
	u64 window_at;       /* frames of one chunk lie side by side: some are read at once */
	u32 window_len, at;  /* where in the window the frame is */
	/* Whatever a place may be, it lies within. */
	u8 window[PYTHON_WINDOW + 256];
	u8 code[PYTHON_READ_MAX + 256];
};

/*
 * Fills in the frames of the current thread; how many. A global function, which the verifier
 * looks at once and by itself: called from however many programs.
 */
int python_walk(struct python_walk *walk);

/* The hash of a stack, continued with its Python frames. */
static __always_inline u64 python_hash(u64 hash, const struct python_walk *walk)
{
	for (u32 i = 0; i < PYTHON_FRAMES_MAX && i < walk->cnt; i++) {
		const u64 *words = (const u64 *)&walk->frames[i];

		hash = mix(mix(hash, words[0]), words[1]);
	}
	return hash;
}

#endif
