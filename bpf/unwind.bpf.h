/*
 * Leaving one frame after the other by the tables of unwind.h. x86-64.
 *
 * One step is a global function: the verifier looks at it once, whatever the number of frames.
 */
#ifndef ALLOCTRACE_UNWIND_BPF_H
#define ALLOCTRACE_UNWIND_BPF_H

#include "calls.bpf.h"
#include "unwind.h"

#define WINDOW_WORDS 128 /* of the stack read at once: a read costs more than a frame */

/* A thread's stack as far as it has been left. */
struct unwinding {
	u64 pc, sp, fp, bx;
	u64 di;         /* where exact */
	u64 exact;      /* pc is where the frame stands, not where it will return to */
	u64 trampoline; /* what stands in place of a return address that a return probe waits at; 0: none
			   waits */
	u64 window_at, window_len; /* bytes */
	u64 window[WINDOW_WORDS];
	u32 mapping;   /* that the last frame was in */
	u32 tracks_bx; /* rbx is restored too: hardly a stack has a frame that counts from it */
};

struct unwind_rows_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, u32);
	__type(value, struct unwind_row);
	__uint(max_entries, UNWIND_ROWS_MAX);
};
extern struct unwind_rows_map unwind_rows SEC(".maps");

struct unwind_pages_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, u32);
	__type(value, u64);
	__uint(max_entries, UNWIND_PAGES_MAX);
};
extern struct unwind_pages_map unwind_pages SEC(".maps");

struct unwind_spaces_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, u32);
	__type(value, struct unwind_space);
	__uint(max_entries, UNWIND_SPACES_MAX);
};
extern struct unwind_spaces_map unwind_spaces SEC(".maps");

struct unwind_processes_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, u32);   /* tgid */
	__type(value, u32); /* its space */
	__uint(max_entries, TRACED_MAX);
};
extern struct unwind_processes_map unwind_processes SEC(".maps");

static __always_inline const struct unwind_space *unwind_space_of(u64 pid_tgid)
{
	u32 tgid = pid_tgid >> 32;
	u32 *space = bpf_map_lookup_elem(&unwind_processes, &tgid);

	return space ? bpf_map_lookup_elem(&unwind_spaces, space) : NULL;
}

/* The frame counts from rbx, which was not tracked: once more from the first, with tracks_bx. */
#define UNWIND_AGAIN 100

/* Leaves the frame: 0, enum stack_end of event.h, or UNWIND_AGAIN. */
int unwind_step(struct unwinding *u, const struct unwind_space *space);

#endif
