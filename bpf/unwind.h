/*
 * Tables that the kernel side unwinds stacks by, shared by both sides: rows made from an
 * object's call frame information (user/target/cfi.h), an index of them, and where a process
 * has which object mapped. x86-64: the registers are its own.
 *
 * The CFA is the stack pointer before the call; the return address lies at CFA − 8.
 */
#ifndef ALLOCTRACE_UNWIND_H
#define ALLOCTRACE_UNWIND_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

#define UNWIND_ROWS_MAX     (1u << 21) /* 16 MiB: 30 modules of a Python process take 205 thousand */
#define UNWIND_PAGES_MAX    (1u << 18) /* 2 MiB: 256 MiB of text */
#define UNWIND_PAGE_SHIFT   10         /* of text that one entry of the index stands for */
#define UNWIND_MAPPINGS_BITS 10
#define UNWIND_MAPPINGS_MAX  (1u << UNWIND_MAPPINGS_BITS) /* executable ones of a process */
#define UNWIND_SPACES_MAX    8   /* of one process: a few, so that one in use is not written to */
#define UNWIND_SPACES_MANY   256 /* 12 MiB: of many; forked children share theirs until they map anew */
#define UNWIND_SEARCH_MAX   11         /* steps of a search among one page's rows: no more than 2^11 start on 1 KiB */

enum unwind_kind {
	UNWIND_INVALID,  /* no rule that a row can express: the stack ends, truncated */
	UNWIND_UNSAID,   /* nothing is said of this code, as of a JIT's that was built in: frame pointers are tried */
	UNWIND_SP,       /* CFA = rsp + 8·cfa */
	UNWIND_FP,       /* CFA = rbp + 8·cfa */
	UNWIND_BX,       /* CFA = rbx + 8·cfa */
	UNWIND_PLT,      /* CFA = rsp + 8, and 8 more where (pc & 15) ≥ cfa */
	UNWIND_DEREF_FP, /* CFA = *(rbp + 8·(signed)cfa); rbp = *(rbp + 8·fp) (DRAP) */
	UNWIND_DI,       /* CFA = rsp + 8·cfa, the return address is in rdi: in what a signal interrupted (vfork) */
	UNWIND_SIGNAL,   /* a signal frame: all registers are in the ucontext at rsp */
	UNWIND_END,      /* the outermost function: nobody called it */
};

#define UNWIND_BX_LOST 15 /* it lies elsewhere */

/* Holds from pc up to the next row's. */
struct unwind_row {
	__u32 pc;  /* virtual address as linked */
	__u16 cfa; /* as kind says */
	__s8 fp;   /* rbp = *(CFA + 8·fp); 0: as it is */
	__u8 kind : 4; /* enum unwind_kind */
	__u8 bx : 4;   /* rbx = *(CFA − 8·(bx + 1)); 0: as it is; UNWIND_BX_LOST */
};

struct unwind_mapping {
	__u64 start, end; /* in the process */
	__u64 bias;       /* address in the process − address as linked */
	__u64 text;       /* as linked, where the index begins; a multiple of 1 << UNWIND_PAGE_SHIFT */
	__u32 page;       /* first entry of the index */
	__u32 page_cnt;   /* 0: no table, frame pointers are tried */
};

/*
 * The code that is mapped in an address space, sorted by start. Never changed while a process is said
 * to have it: another takes its place, whose rows are there already.
 */
struct unwind_space {
	__u32 cnt, pad;
	struct unwind_mapping v[UNWIND_MAPPINGS_MAX];
};

/* An entry of the index: rows [low half, high half) begin on the page; the row before covers its start. */

#endif
