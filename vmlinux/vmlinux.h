/*
 * The kernel types that our BPF programs read, by hand: so the program builds where no BTF
 * is at hand, and CO-RE finds the fields' real places when it is loaded (5.15 and later).
 * Only the fields that are used, in any order. NAME___flavour is an older or newer layout
 * of NAME, chosen at load by what exists. Each is named after the kernel file it comes from.
 */
#ifndef __VMLINUX_H__
#define __VMLINUX_H__

/* include/uapi/asm-generic/int-ll64.h, include/linux/types.h */
typedef signed char __s8;
typedef unsigned char __u8;
typedef short int __s16;
typedef unsigned short int __u16;
typedef int __s32;
typedef unsigned int __u32;
typedef long long int __s64;
typedef unsigned long long int __u64;
typedef __u8 u8;
typedef __u32 u32;
typedef __s32 s32;
typedef __u64 u64;
typedef __s64 s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef int pid_t;
typedef _Bool bool;
enum { false = 0, true = 1 };

/* include/uapi/linux/bpf.h */
enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_HASH = 5,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_LRU_PERCPU_HASH = 10,
	BPF_MAP_TYPE_RINGBUF = 27,
};
enum { BPF_ANY = 0, BPF_NOEXIST = 1 };
enum { BPF_RB_NO_WAKEUP = 1, BPF_RB_FORCE_WAKEUP = 2 };
enum { BPF_RB_AVAIL_DATA = 0 };
enum { BPF_F_USER_STACK = 256, BPF_F_MMAPABLE = 1024 };
enum bpf_func_id {
	BPF_FUNC_find_vma = 180,
	BPF_FUNC_loop = 181,
	BPF_FUNC_map_lookup_percpu_elem = 195,
};
struct bpf_raw_tracepoint_args {
	__u64 args[0];
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

/* arch/x86/include/asm/ptrace.h */
struct pt_regs {
	unsigned long r15, r14, r13, r12, bp, bx;
	unsigned long r11, r10, r9, r8, ax, cx, dx, si, di;
	unsigned long orig_ax, ip, cs, flags, sp, ss;
};

typedef struct {
	int counter;
} atomic_t;

typedef struct {
	s64 counter;
} atomic64_t;

/* include/linux/percpu_counter.h (CONFIG_SMP) */
struct percpu_counter {
	s64 count;
	s32 *counters;
};

/* kernel/events/uprobes.c */
struct xol_area {
	unsigned long vaddr;
};

/* include/linux/uprobes.h */
struct uprobes_state {
	struct xol_area *xol_area;
};

struct return_consumer { /* whole: it stands in arrays */
	u64 cookie, id;
};

/* 6.14 and later: one of each session that asked for the return, cons_cnt in all */
struct return_instance {
	unsigned long stack, orig_ret_vaddr;
	struct return_instance *next;
	int cons_cnt;
	struct return_consumer consumer;
	struct return_consumer *extra_consumers;
};

/* 6.13 */
struct return_instance___array {
	int consumers_cnt;
	struct return_consumer consumers[0];
};

struct uprobe_task {
	struct return_instance *return_instances;
};

/* include/linux/mm_types.h */
struct vm_area_struct {
	unsigned long vm_start, vm_pgoff;
};

/* include/linux/mm_types.h; rss_stat: 6.2 and later */
struct mm_struct {
	struct percpu_counter rss_stat[4];
	unsigned long total_vm, brk;
	struct uprobes_state uprobes_state;
};

/* up to 6.1 */
struct mm_rss_stat {
	atomic64_t count[4];
};

struct mm_struct___atomic {
	struct mm_rss_stat rss_stat;
};

/* include/linux/types.h */
struct list_head {
	struct list_head *next;
};

/* include/linux/sched/signal.h */
struct signal_struct {
	atomic_t live;
	int nr_threads, group_exit_code;
	unsigned int flags;
	struct list_head thread_head;
	u64 utime, stime; /* by the tick, ns */
	unsigned long min_flt, maj_flt; /* of threads that have ended */
};

/* arch/x86/include/asm/processor.h */
struct thread_struct {
	unsigned long fsbase;
};

/* include/linux/page_counter.h */
struct page_counter {
	atomic64_t usage; /* pages */
};

/* include/linux/memcontrol.h */
struct mem_cgroup {
	struct page_counter memory;
};

/* include/linux/cgroup-defs.h: one of each controller, by its number */
struct css_set {
	void *subsys[1];
};

/* include/linux/sched.h */
typedef struct {
	unsigned long sig[1];
} sigset_t;

/* kernel/sched/sched.h */
struct rq {
	u64 clock, clock_task;
};

struct cfs_rq {
	struct rq *rq;
};

struct sched_entity {
	u64 exec_start;
	struct cfs_rq *cfs_rq; /* with CONFIG_FAIR_GROUP_SCHED */
};

struct task_struct {
	struct sched_entity se;
	struct css_set *cgroups;
	pid_t pid, tgid;
	unsigned int ptrace;
	sigset_t blocked;
	struct thread_struct thread;
	int exit_code, on_cpu;
	struct mm_struct *mm;
	struct signal_struct *signal;
	struct uprobe_task *utask;
	struct list_head thread_node;
	u64 utime, stime; /* by the tick, ns */
	unsigned long min_flt, maj_flt;
};

/* up to 6.1: what a thread has not yet added to its mm's counts */
struct task_rss_stat {
	int count[4];
};

struct task_struct___batched {
	struct task_rss_stat rss_stat;
};

/* include/linux/bpf.h */
struct bpf_array {
	void *pptrs[1];
};

/* include/linux/cgroup-defs.h: numbered by what the kernel was built with */
enum cgroup_subsys_id { memory_cgrp_id };

#pragma clang attribute pop

/* include/linux/mm_types_task.h */
enum { MM_FILEPAGES, MM_ANONPAGES, MM_SWAPENTS, MM_SHMEMPAGES, NR_MM_COUNTERS };

#endif
