/*
 * What the loader (user/probe) and the BPF programs agree on beside the records: sizes,
 * the attach cookie, the traced map. Nobody else includes it.
 */
#ifndef ALLOCTRACE_SHARE_H
#define ALLOCTRACE_SHARE_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

#define RING_SIZE  (2 << 20)    /* without allocation events */
#define RING_ALLOC (32 << 20)   /* with: half a second at a million records a second */
#define RING_WAKE  (256 << 10)  /* bytes that wait before the reader is woken */
#define TRACED_MAX 4096
#define GATES_MAX  16      /* of one process's tracer, the calibration's child included */
#define GATES_MANY 1024    /* … of one of many */
#define ALARMS_SIZE 4096   /* of gates that have closed themselves */
#define CPUS_MAX   1024
#define CALLS_MAX  8192 /* threads in a purge or memory call at once */

/*
 * Attach cookie: function number in the low half, shape and flags above; of allocation
 * functions, in which register the block (or where to store it), the size and the count are
 * at the probed instruction.
 */
#define COOKIE_SHAPE_SHIFT 32
#define COOKIE_HAS_RESULT  (1ULL << 40)
#define COOKIE_HAS_HEADER  (1ULL << 41) /* the word before a block tells its size */
#define COOKIE_STEPPED     (1ULL << 42) /* the kernel single-steps the instruction */
#define COOKIE_PTR_SHIFT   44           /* enum arg_register, four bits */
#define COOKIE_SIZE_SHIFT  48
#define COOKIE_COUNT_SHIFT 52
/*
 * Of jemalloc's mallctlbymib: the numbers that stand for names in this build of it, four bits
 * each: of "arena" in the first level, then of each enum purge_control in an arena's, in order.
 */
#define COOKIE_MIB_SHIFT   44
#define MIB_NUMBER_NONE    15           /* there is no such name */

/* The cookie of a thread to be caught: its number in the low half, the signal above. */
#define COOKIE_SIGNAL_SHIFT 32

/* x86-64: the six of the calling convention in its order, then those they may be moved to. */
enum arg_register {
	ARG_DI,
	ARG_SI,
	ARG_DX,
	ARG_CX,
	ARG_R8,
	ARG_R9,
	ARG_AX,
	ARG_BX,
	ARG_R10,
	ARG_R11,
	ARG_BP,
	ARG_R12,
	ARG_R13,
	ARG_R14,
	ARG_R15,
	ARG_NONE, /* the function has no such argument */
	ARG_SP,   /* of SDT probes only */
};

/*
 * Attach cookie of an SDT probe: where its one argument is, in bits of the high half. In a register; in
 * memory at a register and an offset; or, with ARG_NONE, the offset itself.
 */
#define COOKIE_PLACE_OFFSET_SHIFT   32 /* 16 bits, signed */
#define COOKIE_PLACE_REGISTER_SHIFT 48 /* enum arg_register, five bits */
#define COOKIE_PLACE_SIZE_SHIFT     53 /* log2 of its bytes, two bits */
#define COOKIE_PLACE_SIGNED         (1ULL << 55)
#define COOKIE_PLACE_IN_MEMORY      (1ULL << 56)

/*
 * Attach cookie of a place in CPython's object allocator (user/probe/pool_code.h): what it does, and in which
 * registers the pool and the block that it takes are, or the class that a pool is begun for.
 */
#define COOKIE_POOL_FUNC(cookie) ((cookie) & 0xffff)
#define COOKIE_POOL_PLACE_SHIFT 16 /* its number in the plan, 12 bits */
#define POOL_PLACES_MAX         4096
#define COOKIE_POOL_ACT_SHIFT   32 /* enum pool_act */
#define COOKIE_POOL_SHIFT       40 /* enum arg_register */
#define COOKIE_POOL_BLOCK_SHIFT 44 /* … ARG_NONE: on the stack, so far from where rsp points, or rbp */
#define COOKIE_POOL_STACK_SHIFT 48 /* so far, and POOL_STACK_MAX: 15 bits */
#define COOKIE_POOL_BY_BP       (1ULL << 63)
#define POOL_STACK_MAX          0x4000

enum pool_act {
	POOL_TAKE,  /* a block leaves its pool's list of free ones */
	POOL_GIVE,  /* … comes back */
	POOL_BEGIN, /* a pool that was free gives its first block: its list's, if it was of that class before */
	POOL_CARVE, /* a pool that was of no class before gives its first block */
	POOL_ACT_CNT
};

/* kfunc bpf_session_cookie, as the helper that stands for it until the loader binds it. */
#define HELPER_SESSION_COOKIE 0x7ace0001

enum call_shape { /* as enum probe_shape of user/probe/allocator.h orders them */
	SHAPE_PURGE,
	SHAPE_CONTROL,
	SHAPE_CONTROL_MIB,
	SHAPE_DLOPEN,
	SHAPE_DLMOPEN,
	SHAPE_DLCLOSE,
	SHAPE_LOADED,
	SHAPE_MARK,
	SHAPE_MMAP,
	SHAPE_MUNMAP,
	SHAPE_MREMAP,
	SHAPE_MADVISE,
	SHAPE_BRK,
	SHAPE_ALLOC,
	SHAPE_ALLOC_OUT,
	SHAPE_REALLOC,
	SHAPE_FREE,
	SHAPE_CNT
};

/* Hits of allocation probes that leave no record. */
struct silent_hits {
	__u64 nested;   /* part of another call */
	__u64 filtered; /* of a size that is not asked for */
};

#define RECENT_BITS 16

struct recent_block { /* allocated lately; the loader only clears them */
	__u64 key; /* of address and process; 0: none */
	__u64 size;
};

/*
 * Sampling of stacks by bytes. A block of no bytes counts as one; a freed block as what was
 * asked for if it was allocated lately, else as what its header says, and where no header
 * says anything one free of SAMPLING_FREES is taken.
 */
#define SAMPLING_FRACTIONS 256 /* log2(1 + (i + ½) / 256) · 2^16: what the loader fills in */
#define SAMPLING_FREES 16
#define SAMPLING_HEADER_BYTES(word) ((word) & ~7ULL)

static inline __u64 sampled_bytes(__u64 bytes)
{
	return bytes ? bytes : 1;
}

struct traced {
	__u32 sees_loads; /* _dl_debug_state is probed: a dlopen without one mapped nothing */
	__u32 flags;
};
#define TRACED_FOLLOWED 1u /* its children inherit events (early.bpf.h): they are traced from their fork on */
#define TRACED_YOUNG 2u    /* such a child, until its own probes are placed */

/*
 * The gate of a stream of a process, its blocks (CELL_BLOCKS, under a budget) or Python's objects (CELL_OBJECTS):
 * they are recorded while it is open. User space makes it, with cell_mark opens and closes it; when its hits have
 * reached the limit it closes itself, and an alarm is given: its key. Without a gate nothing is recorded.
 */
#define GATE_KEY(tgid, stream) ((__u64)(stream) << 32 | (__u32)(tgid))
#define GATE_STREAMS 2

struct gate {
	__u64 key; /* whose it is; 0: nobody's */
	__u64 open;
	__u64 hits;  /* of the stream's probes, whether the gate was open or not */
	__u64 limit; /* of these */
	__u64 cell;  /* that it was opened for last */
	__u64 sample_bytes, free_sample_bytes; /* 0: all stacks */
	__u64 signal; /* its struct signal_struct, once it was hit; 0: not known */
};

/* Places that a process passes now and then (user/probe/milestones.h): so many stand at a time. */
#define MILESTONES_MAX 4

/* What hits have taken, by CPU; cumulative, but for what says otherwise. */
#define GATE_TIMED 64 /* one program in so many is timed, and counts for all of them */

struct gate_spent {
	__u64 entries, returns; /* programs that ran at an entry, open or closed; at a return */
	__u64 stepped;          /* entries at instructions that the kernel single-steps */
	__u64 stacks;           /* programs that took one */
	__u64 program_ns;       /* that programs ran behind the gate */
	__u64 stack_ns;         /* … of these for stacks */
	__u64 user_ns, system_ns; /* what the kernel's ticks added to a thread between two of its hits in succession, in a cell */
	__u64 user_looks, system_looks; /* when a timer looked, while the gate was open (gate_look) */
	__u64 passes[MILESTONES_MAX]; /* of milestones, by their cookies; of blocks' gates */
	__u64 task, cell, utime, stime; /* not a sum: whose hit was the last, in which one */
	__u64 timed;              /* not a sum: the program that runs is */
	__s64 allocs, frees;      /* not sums: bytes until the next sample; 0: not drawn yet */

	/* Of objects, recorded or not, and as pools round them; cumulative. */
	__u64 taken, taken_bytes;
	__u64 given, given_bytes;
	__u64 odd; /* hits of which pool and block do not go together */
};

/* The arguments of cell_mark, in order: those of a raw tracepoint. */
enum cell_argument {
	CELL_ARG_GATE, /* its key */
	CELL_ARG_STATE, /* and in the upper half by_share */
	CELL_ARG_NUMBER,
	CELL_ARG_CHANCE,
	CELL_ARG_SAMPLE,
	CELL_ARG_FREE_SAMPLE,
	CELL_ARG_PROGRESS,
	CELL_ARG_ERROR,
	CELL_ARG_CPU,
	CELL_ARG_HITS,
	CELL_ARG_SHARE, /* and in the upper half its error */
	CELL_ARG_QUOTA, /* hits from a BEGIN on, or from now on */
	CELL_ARG_CNT
};
#define CELL_GO_ON 0 /* in place of a state: only the quota is new; no record */

/* Sampled objects that are live, of all processes: 18 MiB of the kernel's memory; in cells, where few are seen, 4.5. */
#define OBJECTS_KNOWN_MAX   (1 << 18)
#define OBJECTS_KNOWN_CELLS (1 << 16)

/* Calls of a function that is to mark: so many a second are recorded of each, in each process. */
#define MARKS_PER_SECOND 100
#define MARK_RATES_MAX   4096

struct mark_key {
	__u32 tgid;
	__u32 func; /* head.func */
};

struct mark_rate {
	__u64 second; /* of the clock, the last in which it was called */
	__u64 cnt;    /* calls in it */
	__u64 all;    /* … ever */
};

/* Spots that a child inherits: where in the file of an event, or in a process that maps it. */
#define EARLY_SPOTS_MAX 16384

struct early_key {
	__u32 event; /* its number, which is the attach cookie of its programs */
	__u32 pad;
	__u64 at; /* offset in the file, or address in a process */
};

enum early_act {
	EARLY_BEGIN, /* of an allocation */
	EARLY_END,   /* … that no return probe sees */
	EARLY_FREE,
};

struct early_spot {
	__u64 cookie; /* of the function */
	__u32 act;
	__u32 pad;
};

#endif
