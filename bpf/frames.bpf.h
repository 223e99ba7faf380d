/*
 * Call stacks, each submitted once: a stack is known by a hash of its return addresses, and
 * its record is in the ring before the first record that names it.
 */
#ifndef ALLOCTRACE_FRAMES_BPF_H
#define ALLOCTRACE_FRAMES_BPF_H

#include "mix.bpf.h"
#include "python.bpf.h"
#include "unwind.bpf.h"

#define STACKS_SEEN_MAX 65536
#define SCRATCH_CNT 8 /* threads of one CPU that may be interrupted while they take a stack */

struct scratch {
	u64 busy;
	u64 hash, check; /* of the frames, two independent ones */
	struct unwinding at;
	struct python_walk python;
	struct event_stack rec;
};

struct scratches_map {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, u32);
	__type(value, struct scratch);
	__uint(max_entries, SCRATCH_CNT);
};
extern struct scratches_map scratches SEC(".maps");

/* hash → check: another stack of the same hash takes its place, and is submitted anew. */
struct seen_map {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, u64);
	__type(value, u64);
	__uint(max_entries, STACKS_SEEN_MAX);
};
extern struct seen_map stacks_seen SEC(".maps");

extern const volatile bool takes_stacks; /* set by the loader */

/*
 * Leaves frame after frame from where s->at stands. The stack's id, submitted if it is new; 0: it
 * could not be, or its end is UNWIND_AGAIN.
 */
u64 unwind(struct scratch *s, const struct unwind_space *space, u64 pid_tgid);

/* A kernel with preemption may run another thread of this CPU meanwhile: each takes a scratch of its own. */
static __always_inline struct scratch *scratch_take(void)
{
	for (u32 i = 0; i < SCRATCH_CNT; i++) {
		u32 key = i;
		struct scratch *s = bpf_map_lookup_elem(&scratches, &key);

		if (s && !__sync_lock_test_and_set(&s->busy, 1))
			return s;
	}
	return NULL;
}

static __always_inline void scratch_give(struct scratch *s)
{
	__sync_lock_test_and_set(&s->busy, 0);
}

enum stack_begin {
	STACK_AT_CALL,   /* the stack pointer is at the return address: the callee's edge */
	STACK_AT_RETURN, /* the registers are those of the caller already */
	STACK_INSIDE,    /* at any instruction of a function, which is the first frame */
};

static __always_inline void unwind_from(struct unwinding *u, struct pt_regs *ctx, enum stack_begin begin,
					bool tracks_bx)
{
	struct task_struct *task = bpf_get_current_task_btf();

	u64 sp = context_word(ctx, sp);

	u->sp = sp;
	u->fp = context_word(ctx, bp);
	u->bx = context_word(ctx, bx);
	u->exact = begin == STACK_INSIDE;
	u->window_len = 0;
	u->mapping = 0;
	u->tracks_bx = tracks_bx;
	u->trampoline = task->utask ? BPF_CORE_READ(task, mm, uprobes_state.xol_area, vaddr) : 0;
	if (begin != STACK_AT_CALL) {
		u->pc = context_word(ctx, ip);
	} else {
		u->pc = user_word(sp);
		if (u->trampoline && u->pc == u->trampoline)
			u->pc = return_address(sp, u->pc);
		u->sp = sp + sizeof(u64);
	}
}

/* The id of the stack that leads to where the registers are; 0: none could be had. */
static __always_inline u64 take_stack(struct pt_regs *ctx, u64 pid_tgid, enum stack_begin begin)
{
	const struct unwind_space *space = unwind_space_of(pid_tgid);
	struct scratch *s = space ? scratch_take() : NULL;
	u64 id = 0;

	if (s) {
		unwind_from(&s->at, ctx, begin, false);
		id = unwind(s, space, pid_tgid);
		if (s->rec.end == UNWIND_AGAIN) {
			unwind_from(&s->at, ctx, begin, true);
			id = unwind(s, space, pid_tgid);
		}
		scratch_give(s);
	}
	if (!id && traced_process(pid_tgid)) /* a forked child is nobody's loss */
		count_loss(LOSS_STACK);
	return id;
}

#endif
