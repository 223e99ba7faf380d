/*
 * Calls in flight. A thread has at most one of each class that counts, the outermost: a purge
 * inside a purge (mi_collect → mi_heap_collect) or brk inside sbrk is part of it.
 * Depth is never counted: longjmp and throw would leave the count wrong for ever.
 * x86-64: where the return address is, and which registers hold arguments and result.
 */
#ifndef ALLOCTRACE_CALLS_BPF_H
#define ALLOCTRACE_CALLS_BPF_H

#include "events.bpf.h"

#define RETURN_INSTANCES_MAX 64 /* the kernel's own limit, MAX_URETPROBE_DEPTH */

enum call_class { CALL_PURGE, CALL_MEMORY };

struct call_key {
	u64 pid_tgid;
	u32 class;
	u32 pad;
};

struct call {
	u64 sp; /* where the return address is */
	u64 caller;
	u64 time;
	u32 func;
	u32 shape;
	s64 rss;
	union {
		struct {
			u64 id, stack, arg, advised;
			s64 own_rss, all_rss, own_dropped, all_dropped; /* see struct watch */
			u64 faults, own_faults;
			s64 cgroup; /* what it is charged; −1: not known */
			u32 calls, flags;
		};
		struct {
			u64 addr, len, change;
			u32 advice, pad;
		};
	};
};

struct calls_map {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, struct call_key);
	__type(value, struct call);
	__uint(max_entries, CALLS_MAX);
};
extern struct calls_map calls SEC(".maps");

/* Of an address space with a purge in flight: what all its threads do (purge.bpf.c). */
struct watch {
	s64 all;                   /* bytes that they added to RSS while watched */
	s64 dropped;               /* bytes that purges gave back by system calls while not watched */
	s64 count[NR_MM_COUNTERS]; /* the counters' folded part, as last seen */
	u64 faults;                /* page faults so far, when the watch began */
	u64 since;                 /* when that was */
	u64 generation;
};

#define WATCHES_MAX 256

struct watches_map {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, u64); /* struct mm_struct * */
	__type(value, struct watch);
	__uint(max_entries, WATCHES_MAX);
};
extern struct watches_map watches SEC(".maps");

extern __u64 watch_generation; /* user space adds one before it attaches rss_watch: what was seen is stale */
extern __u64 watched_since;    /* user space: when it was attached; 0: it is not */

static __always_inline bool is_watched(const struct watch *watch)
{
	return watched_since && watch->generation == watch_generation;
}

extern const volatile bool uses_return_probes; /* set by the loader */

/*
 * A register. In assembler, because a compiler makes one load of several, at an offset that the
 * verifier cannot know.
 */
#define context_word(ctx, field)                                                                             \
	({                                                                                                   \
		u64 word_;                                                                                   \
		asm volatile("%0 = *(u64 *)(%1 + %2)"                                                        \
			     : "=r"(word_)                                                                   \
			     : "r"(ctx), "i"(__builtin_offsetof(struct pt_regs, field)));                    \
		word_;                                                                                       \
	})

/* By its number, enum arg_register; 0 for ARG_NONE. */
static __always_inline u64 read_register(struct pt_regs *ctx, u32 reg)
{
	u64 value = 0;

	switch (reg) {
	case ARG_DI:
		value = context_word(ctx, di);
		break;
	case ARG_SI:
		value = context_word(ctx, si);
		break;
	case ARG_DX:
		value = context_word(ctx, dx);
		break;
	case ARG_CX:
		value = context_word(ctx, cx);
		break;
	case ARG_R8:
		value = context_word(ctx, r8);
		break;
	case ARG_R9:
		value = context_word(ctx, r9);
		break;
	case ARG_AX:
		value = context_word(ctx, ax);
		break;
	case ARG_BX:
		value = context_word(ctx, bx);
		break;
	case ARG_R10:
		value = context_word(ctx, r10);
		break;
	case ARG_R11:
		value = context_word(ctx, r11);
		break;
	case ARG_BP:
		value = context_word(ctx, bp);
		break;
	case ARG_R12:
		value = context_word(ctx, r12);
		break;
	case ARG_R13:
		value = context_word(ctx, r13);
		break;
	case ARG_R14:
		value = context_word(ctx, r14);
		break;
	case ARG_R15:
		value = context_word(ctx, r15);
		break;
	case ARG_SP:
		value = context_word(ctx, sp);
		break;
	}
	return value;
}

static __always_inline u64 user_word(u64 addr)
{
	u64 word = 0;

	bpf_probe_read_user(&word, sizeof(word), (void *)addr);
	return word;
}

/* Whether a return probe waits at that stack slot: listed by the kernel, and the slot still leads to it. */
static __always_inline bool return_waits_at(u64 sp)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct return_instance *ri = BPF_CORE_READ(task, utask, return_instances);

	for (int i = 0; i < RETURN_INSTANCES_MAX && ri; i++) {
		if (BPF_CORE_READ(ri, stack) == sp)
			return user_word(sp) == BPF_CORE_READ(task, mm, uprobes_state.xol_area, vaddr);
		ri = BPF_CORE_READ(ri, next);
	}
	return false;
}

/* Where the return address went that a return probe has taken from that stack slot; found: what is there. */
static __always_inline u64 return_address(u64 slot, u64 found)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct return_instance *ri = BPF_CORE_READ(task, utask, return_instances);

	for (int i = 0; i < RETURN_INSTANCES_MAX && ri; i++) {
		if (BPF_CORE_READ(ri, stack) == slot)
			return BPF_CORE_READ(ri, orig_ret_vaddr);
		ri = BPF_CORE_READ(ri, next);
	}
	return found;
}

/*
 * Whether the call that begins now at sp is made by outer: outer has not ended, by return
 * or otherwise. At the same stack slot it is a tail call, or the outer call is dead: then the
 * slot holds an ordinary return address again, and without return probes it is another function's.
 */
static __always_inline bool is_within(const struct call *outer, u64 sp, u32 func)
{
	if (uses_return_probes)
		return return_waits_at(outer->sp);
	if (outer->sp == sp)
		return outer->func != func && outer->caller == user_word(sp);
	return outer->sp > sp;
}

static __always_inline struct call_key call_key(u64 pid_tgid, enum call_class class)
{
	return (struct call_key){.pid_tgid = pid_tgid, .class = class};
}

/* Of a return probe's or session's program at the return: the return address has been popped. */
#define SP_AT_RETURN(ctx) ((ctx)->sp - sizeof(u64))
/* Of a probe on a function's entry, or on a ret or jump that ends it. */
#define SP_AT_INSTRUCTION(ctx) ((ctx)->sp)

/* A session program runs at both ends: at the entry the probed address is where it stands. */
static __always_inline bool session_at_return(struct pt_regs *ctx)
{
	return bpf_get_func_ip(ctx) != ctx->ip;
}

/*
 * The programs of a family of calls, by how its probes are attached: entry and exit
 * instructions, entry and return probe, or a session, which runs at both ends and returns 1 to
 * do without the return. A family has FAMILY_begin(ctx), true if the call's end is to be
 * seen, and FAMILY_end(ctx, sp).
 */
#define CALL_PROGRAMS(family)                                                                                \
	SEC("uprobe/" #family)                                                                               \
	int family##_enter(struct pt_regs *ctx)                                                              \
	{                                                                                                    \
		family##_begin(ctx);                                                                         \
		return 0;                                                                                    \
	}                                                                                                    \
	SEC("uprobe/" #family)                                                                               \
	int family##_exit(struct pt_regs *ctx)                                                               \
	{                                                                                                    \
		family##_end(ctx, SP_AT_INSTRUCTION(ctx));                                                   \
		return 0;                                                                                    \
	}                                                                                                    \
	SEC("uretprobe/" #family)                                                                            \
	int family##_return(struct pt_regs *ctx)                                                             \
	{                                                                                                    \
		family##_end(ctx, SP_AT_RETURN(ctx));                                                        \
		return 0;                                                                                    \
	}                                                                                                    \
	SEC("uprobe/" #family)                                                                               \
	int family##_session(struct pt_regs *ctx)                                                            \
	{                                                                                                    \
		if (!session_at_return(ctx))                                                                 \
			return !family##_begin(ctx);                                                         \
		family##_end(ctx, SP_AT_RETURN(ctx));                                                        \
		return 0;                                                                                    \
	}

#endif
