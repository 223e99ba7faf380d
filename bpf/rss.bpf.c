/*
 * RSS of an address space without the error of per-CPU batches.
 *
 * From 6.2 on mm_struct.rss_stat is four percpu_counters: the exact value is the count plus
 * every CPU's slot. To reach the slots one needs each CPU's offset, which no stable symbol
 * gives on every kernel (kallsyms may lack data symbols). A per-CPU array of our own tells
 * it: where an element is on a CPU, less the per-CPU pointer that the map keeps.
 * Up to 6.1 they are atomics, plus what the running thread has not added yet.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#include "rss.bpf.h"
#include "share.h"

const volatile __u32 cpu_cnt = 1; /* possible CPUs: set by the loader */
__u64 cpu_offset[CPUS_MAX];

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, u32);
	__type(value, u64);
	__uint(max_entries, 1);
} cpu_marker SEC(".maps");

/* A pointer that went through memory is a number to the verifier. */
static volatile u64 laundry;

/* Run once by the loader. */
SEC("syscall")
int rss_init(__attribute__((unused)) void *ctx)
{
	u64 base = 0;
	u32 key = 0;

	if (!bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_map_lookup_percpu_elem))
		return 0;
	laundry = (u64)&cpu_marker;
	bpf_probe_read_kernel(&base, sizeof(base),
			      (void *)(laundry + bpf_core_field_offset(struct bpf_array, pptrs)));
	for (u32 cpu = 0; cpu < CPUS_MAX && cpu < cpu_cnt; cpu++) {
		void *there = bpf_map_lookup_percpu_elem(&cpu_marker, &key, cpu);

		if (!there)
			break;
		laundry = (u64)there;
		cpu_offset[cpu] = laundry - base;
	}
	return 0;
}

struct slots {
	s32 v[NR_MM_COUNTERS];
};

/* One read a CPU where the four counters' slots lie side by side (6.5 and later), else three. */
static __always_inline s64 slot_pages(u64 file, u64 anon, u64 shmem, u64 offset)
{
	struct slots slots = {};

	if (anon == file + MM_ANONPAGES * sizeof(s32) && shmem == file + MM_SHMEMPAGES * sizeof(s32)) {
		bpf_probe_read_kernel(&slots, sizeof(slots), (void *)(file + offset));
	} else {
		bpf_probe_read_kernel(&slots.v[MM_FILEPAGES], sizeof(s32), (void *)(file + offset));
		bpf_probe_read_kernel(&slots.v[MM_ANONPAGES], sizeof(s32), (void *)(anon + offset));
		bpf_probe_read_kernel(&slots.v[MM_SHMEMPAGES], sizeof(s32), (void *)(shmem + offset));
	}
	return (s64)slots.v[MM_FILEPAGES] + slots.v[MM_ANONPAGES] + slots.v[MM_SHMEMPAGES];
}

static __always_inline s64 percpu_pages(struct mm_struct *mm)
{
	u64 file = (u64)BPF_CORE_READ(mm, rss_stat[MM_FILEPAGES].counters);
	u64 anon = (u64)BPF_CORE_READ(mm, rss_stat[MM_ANONPAGES].counters);
	u64 shmem = (u64)BPF_CORE_READ(mm, rss_stat[MM_SHMEMPAGES].counters);
	s64 pages = BPF_CORE_READ(mm, rss_stat[MM_FILEPAGES].count) +
		    BPF_CORE_READ(mm, rss_stat[MM_ANONPAGES].count) +
		    BPF_CORE_READ(mm, rss_stat[MM_SHMEMPAGES].count);

	for (u32 cpu = 0; cpu < CPUS_MAX && cpu < cpu_cnt; cpu++)
		pages += slot_pages(file, anon, shmem, cpu_offset[cpu]);
	return pages;
}

static __always_inline s64 atomic_pages(struct mm_struct___atomic *mm)
{
	struct task_struct___batched *task = (void *)bpf_get_current_task();
	s64 pages = BPF_CORE_READ(mm, rss_stat.count[MM_FILEPAGES].counter) +
		    BPF_CORE_READ(mm, rss_stat.count[MM_ANONPAGES].counter) +
		    BPF_CORE_READ(mm, rss_stat.count[MM_SHMEMPAGES].counter);

	if (bpf_core_field_exists(task->rss_stat))
		pages += BPF_CORE_READ(task, rss_stat.count[MM_FILEPAGES]) +
			 BPF_CORE_READ(task, rss_stat.count[MM_ANONPAGES]) +
			 BPF_CORE_READ(task, rss_stat.count[MM_SHMEMPAGES]);
	return pages;
}

__noinline s64 rss_bytes(u64 mm_addr)
{
	struct mm_struct *mm = (void *)mm_addr;

	if (!mm)
		return 0;
	if (bpf_core_field_exists(mm->rss_stat[0].counters))
		return percpu_pages(mm) * PAGE_BYTES;
	return atomic_pages((void *)mm) * PAGE_BYTES;
}

#define THREADS_MAX 512 /* the faults of more threads are not seen */

struct faults {
	u64 node, head, sum; /* the thread that is looked at, as a place in its process's list */
};

/* 1 after the last thread. */
static long add_faults(u64 i, void *arg)
{
	struct faults *of = arg;
	struct list_head *node = (void *)of->node;
	struct task_struct *thread = (void *)node - bpf_core_field_offset(struct task_struct, thread_node);

	(void)i;
	if (!node || of->node == of->head)
		return 1;
	of->sum += BPF_CORE_READ(thread, min_flt) + BPF_CORE_READ(thread, maj_flt);
	of->node = (u64)BPF_CORE_READ(node, next);
	return 0;
}

__noinline u64 process_faults(u64 task_addr)
{
	struct signal_struct *signal = BPF_CORE_READ((struct task_struct *)task_addr, signal);
	struct faults of = {
		.node = (u64)BPF_CORE_READ(signal, thread_head.next),
		.head = (u64)signal + bpf_core_field_offset(struct signal_struct, thread_head),
		.sum = BPF_CORE_READ(signal, min_flt) + BPF_CORE_READ(signal, maj_flt),
	};

	/* Where there is bpf_loop the verifier looks at one thread, not at each of them. */
	if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_loop))
		bpf_loop(THREADS_MAX, add_faults, &of, 0);
	else
		for (int i = 0; i < THREADS_MAX && !add_faults(i, &of); i++)
			;
	return of.sum;
}
