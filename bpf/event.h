/*
 * Records that the BPF programs put into the ring, the only header that both sides share.
 * Every record begins with struct event_head; the kind tells its type and its exact size.
 * Records are in ring order, which is the order of the calls' ends (a purge's begin, a free and
 * a realloc's begin apart: these are recorded at the entry).
 */
#ifndef ALLOCTRACE_EVENT_H
#define ALLOCTRACE_EVENT_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

#include "python.h"

#define EVENT_PATH_MAX 256
#define EVENT_FRAMES_MAX 128
#define EVENT_TEXT_MAX 252
#define EVENT_LINES_MAX 4096

enum event_kind {
	EVENT_PURGE_BEGIN = 1, /* struct event_purge_begin */
	EVENT_PURGE,           /* struct event_purge, at its return */
	EVENT_DLOPEN,          /* struct event_dlopen, at its return */
	EVENT_DLCLOSE,         /* struct event_dlclose, at its return */
	EVENT_MEMORY,          /* struct event_memory: libc took memory or gave it back */
	EVENT_LOADED,          /* struct event_head: the loader's list of objects changed */
	EVENT_FORK,            /* struct event_fork */
	EVENT_EXEC,            /* struct event_exec */
	EVENT_OOM,             /* struct event_head: the OOM killer has chosen tgid */
	EVENT_EXIT,            /* struct event_exit: the process (not one thread) ended */
	EVENT_ALLOC,           /* struct event_block, at its return; addr 0: it failed */
	EVENT_FREE,            /* struct event_block, at its entry; never of NULL */
	EVENT_REALLOC_BEGIN,   /* struct event_block, at its entry: the old block leaves; never of NULL */
	EVENT_REALLOC,         /* struct event_block, at its return: the new block; addr 0: failed or freed */
	EVENT_FREE_OWN,        /* struct event_block: the thread's EVENT_FREE of addr that follows is the allocator's own */
	EVENT_STACK,           /* struct event_stack: before the first record that names its id */
	EVENT_CODE,            /* struct event_code: before the first record that names its id */
	EVENT_COLLECTION,      /* struct event_collection, at its end */
	EVENT_MARK,            /* struct event_mark: a function that was named is called */
	EVENT_CELL,            /* struct event_cell: under a budget, from here on blocks are recorded, or not */
	EVENT_KIND_CNT
};

struct event_head {
	__u32 kind;
	__u32 tid;
	__u32 tgid;
	__u32 func; /* which probed function, by the loader's number (the attach cookie); 0: a tracepoint */
	__u64 time; /* CLOCK_MONOTONIC ns; of a call: its begin; of event_block: to the kernel's tick (1–10 ms) */
};

struct event_purge_begin {
	struct event_head head;
	__u64 id;    /* of this purge, never reused in a session */
	__u32 flags; /* PURGE_OTHERS_RAN */
	__u32 pad;
};

struct event_purge {
	struct event_head head;
	__u64 id;
	__u64 caller;       /* return address */
	__u64 stack;        /* id of the caller's stack; 0: none */
	__u64 arg;          /* first argument (pad, force); of jemalloc's mallctl: the arena */
	__u64 result;       /* return register; meaningless without PURGE_HAS_RESULT */
	__u64 duration;     /* ns */
	__u64 rss;          /* bytes, of the whole process at its return */
	__s64 rss_drop;     /* bytes that this fell by from entry to return */
	__s64 rss_others;   /* bytes that other threads added meanwhile */
	__s64 cgroup_drop;  /* bytes that its cgroup's memory.current fell by, whoever did it; without PURGE_HAS_CGROUP 0 */
	__u64 watched_from; /* when counting these began; before, a page a fault is taken; 0: never */
	__u64 advised;      /* Σ lengths of madvise, munmap and brk shrinks inside the purge */
	__u32 calls;        /* how many of those */
	__u32 flags;
};
#define PURGE_HAS_RESULT 1u
#define PURGE_HAS_CGROUP 4u
#define PURGE_OTHERS_RAN 2u /* the process had more than one thread */
#define PURGE_CONTROL_SHIFT 8
#define PURGE_CONTROL(flags) ((flags) >> PURGE_CONTROL_SHIFT & 15)

/* What jemalloc's mallctl was asked for: "arena.N.purge", "arena.N.decay", … */
enum purge_control {
	CONTROL_NONE, /* it was no mallctl */
	CONTROL_PURGE,
	CONTROL_DECAY,
	CONTROL_RESET,
	CONTROL_DESTROY,
	CONTROL_CNT,
	CONTROL_UNREAD = 15 /* within the programs only: the name could not be read yet */
};

enum memory_op {
	MEMORY_MMAP = 1,
	MEMORY_MUNMAP,
	MEMORY_MREMAP,
	MEMORY_MADVISE,
	MEMORY_BRK, /* brk and sbrk */
};

struct event_memory {
	struct event_head head;
	__u64 caller;    /* return address */
	__u64 addr, len; /* of the call; brk: old break, |change|; mremap: old address, |change| */
	__s64 rss_drop;  /* bytes that RSS fell by across the call (negative: rose); mmap: 0 */
	__u64 purge_id;  /* the purge this thread is in, or 0 */
	__u32 op;        /* enum memory_op */
	__u32 advice;    /* madvise */
	__u32 shrink;    /* 1: gives memory back, 0: takes it (or only advises) */
	__u32 failed;
};

struct event_dlopen {
	struct event_head head;
	__u64 caller;
	__u64 stack;
	__u64 handle;      /* 0: failed */
	__u64 duration;    /* ns */
	__s64 maps_grown;  /* bytes of address space */
	__s64 heap_grown;  /* bytes of brk */
	__u32 new_mapping; /* the loader mapped something */
	__u32 path_len;    /* without the NUL */
	char path[EVENT_PATH_MAX]; /* what was asked for; "" for NULL: the main program */
	char name[EVENT_PATH_MAX]; /* the loaded object's name (link_map l_name), "" on failure */
};

struct event_dlclose {
	struct event_head head;
	__u64 caller;
	__u64 stack;
	__u64 handle;
	__u64 duration;
	__s64 maps_grown;
	char name[EVENT_PATH_MAX];
};

struct event_fork {
	struct event_head head; /* tgid: the parent */
	__u32 child;            /* tgid of the new process */
	__u32 covered;          /* 1: its allocations and frees are recorded from now on */
};

struct event_exec {
	struct event_head head;
	char comm[16]; /* the new name, NUL-ended: the process may have ended by the time it is read */
};

struct event_exit {
	struct event_head head;
	__u32 code; /* as wait(2) encodes it */
	__u32 pad;
};

/*
 * realloc(NULL, n) is one EVENT_ALLOC. Of a realloc of a block there are two records, with
 * nothing of the same thread's blocks between them; if the second is missing (the thread
 * ended, longjmp) nobody knows which block lives.
 */
#define EVENT_SIZE_KNOWN 1 /* the block was allocated lately: by its ALLOC; no header is that */

/*
 * Of Python objects (head.func is of the allocator pymalloc) only those are recorded whose birth is sampled: an
 * ALLOC with its stack, and a FREE. size is what the pool rounds to, of a FREE too: 0: it died unseen, another
 * object was born there.
 */
struct event_block {
	struct event_head head;
	__u64 addr;
	__u64 size;  /* ALLOC, REALLOC: bytes asked for. FREE, REALLOC_BEGIN: the word before the block, EVENT_SIZE_KNOWN, or
		     0: it was not read */
	__u64 stack; /* id of the caller's stack; 0: none. REALLOC_BEGIN: 0 unless stacks are sampled, its end has it */
};

/* How a stack ended. */
enum stack_end {
	STACK_END_OUTERMOST = 1, /* whole */
	STACK_END_LIMIT,         /* it goes on beyond EVENT_FRAMES_MAX */
	STACK_END_NO_MAPPING,    /* it leads to where nothing is known to be mapped */
	STACK_END_NO_ROW,        /* … to code that no table tells how to leave */
	STACK_END_UNREADABLE,    /* … to memory that is not there, or swapped */
	STACK_END_CNT
};

/*
 * Frames innermost first: return addresses, the first that of the allocator's function. Right
 * behind cnt of them come python_cnt of struct python_frame, of the same thread (python.h), and
 * there the record ends. An id may come again, with other frames: those hold from then on.
 */
struct event_stack {
	struct event_head head;
	__u64 id; /* a hash of the frames; never 0 */
	__u32 cnt;
	__u16 end;        /* enum stack_end */
	__u16 python_cnt; /* 0: it runs no Python that is known */
	__u16 python_end;  /* enum python_end */
	__u16 python_rule; /* enum python_rule */
	__u32 pad;
	__u64 frames[EVENT_FRAMES_MAX];
	struct python_frame room[PYTHON_FRAMES_MAX];
};

/* A Python string, as the interpreter keeps it. */
struct event_text {
	__u16 len;  /* bytes */
	__u8 width; /* bytes of a character: 1 Latin-1, 2 UCS-2, 4 UCS-4; 0: it could not be read */
	__u8 cut;   /* its beginning is missing: what tells one name from another is mostly at the end */
	__u8 bytes[EVENT_TEXT_MAX];
};

/*
 * A Python code object, when it is first seen: compiled by exec or eval, it may be gone by the
 * time that its id is read. The record ends behind lines_len, rounded up to 8.
 */
struct event_code {
	struct event_head head;
	__u64 id;          /* a hash of the process, the object's address and what it points to; never 0 */
	__u64 code;        /* its address, */
	__u64 lines_at;    /* and its line table's, of which there may be more: lines_size */
	__u32 lines_size;  /* bytes that the table has */
	__u32 lines_len;   /* bytes of it that are here; 0: it could not be read */
	__u32 first_line;  /* where its def, class or lambda stands */
	__u32 version;     /* of CPython, 0x30b is 3.11: how the table is to be read */
	struct event_text name; /* qualified from 3.11 on */
	struct event_text file;
	__u8 lines[EVENT_LINES_MAX]; /* co_lnotab up to 3.9, co_linetable from 3.10 on */
};

/* A run of CPython's garbage collector; head.func is 0. */
struct event_collection {
	struct event_head head;
	__u64 duration;   /* ns */
	__s64 collected;  /* objects in unreachable cycles, those that could not be freed too: what gc.collect() returns */
	__s32 generation; /* 0 the youngest … 2 all */
	__u32 pad;
};

struct event_mark {
	struct event_head head;
	__u64 rss; /* bytes */
};

/*
 * Under a budget (user/budget/pace.h) the time of a process is divided into cells, each of which is on with a
 * chance that was fixed before it began. Blocks of the process are recorded between a cell's BEGIN and its END
 * in ring order, and nowhere else.
 */
enum cell_state {
	CELL_BEGIN = 1,
	CELL_END,
	CELL_CUT, /* an end before its time: its quota of hits was used up, since when nothing was recorded */
};

/* What is recorded in a cell: blocks, or Python's objects, whose probes cost too much to be on as often. */
#define CELL_BLOCKS 0
#define CELL_OBJECTS 1

#define CELL_SURE (1ULL << 32) /* event_cell.chance: the cell was sure to be on, and goes on as long as the budget suffices */

struct event_cell {
	struct event_head head; /* func: CELL_BLOCKS or CELL_OBJECTS, each with cells of its own */
	__u64 number;           /* of the cell, from 1 on, never reused in a process */
	__u64 chance;           /* that it is on, of 2^32; never 0 */
	__u64 sample_bytes, free_sample_bytes; /* stacks in it are of one in so many bytes; 0: all */
	/* ns of CPU time that the process has had for itself, probes' cost taken off: END: in the cell; BEGIN: since
	   the end of the last one. */
	__u64 progress;
	__u64 progress_error; /* ns, one standard error of that */
	__u64 cpu; /* END, CUT: ns of CPU time that the process has had in the cell, probes included; 0: not known.
		      BEGIN: ns of its own time that each of the coins' cells was taken to be long */
	__u64 hits; /* END, CUT: of probes, in it */
	/* Of 2^32, own part of the CPU time in cells as far as it is known by then, and one standard error of it; 0: not
	   known. By it progress that was told by such a share, in this cell or in one before, is mended. */
	__u32 share, share_error;
	__u32 state;    /* enum cell_state */
	/* END, CUT: probes took nearly all of its time; progress is cpu × share (less where hits are dearer than others), or
	   a guess. */
	__u32 by_share;
};

/* Ways to lose something; each a counter that user space reads and reports when it is not zero. */
enum loss {
	LOSS_RING_FULL,    /* no room for a record */
	LOSS_PENDING_FULL, /* no room for a call in flight */
	LOSS_NO_RETURN,    /* a call whose return was not seen */
	LOSS_UNREADABLE,   /* an argument in memory that could not be read */
	LOSS_STACK,        /* a stack that could not be taken or submitted: its event has none */
	LOSS_PYTHON,       /* a Python frame that could not be read, or whose code could not be submitted */
	LOSS_CNT
};

#endif
