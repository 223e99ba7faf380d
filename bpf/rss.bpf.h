/* Resident pages of an address space, exact, read from the kernel's own counters (rss.bpf.c). */
#ifndef ALLOCTRACE_RSS_BPF_H
#define ALLOCTRACE_RSS_BPF_H

#include "vmlinux.h"

#define PAGE_BYTES 4096LL

/* Bytes of file, anonymous and shared pages. mm is a struct mm_struct *: global functions take numbers. */
s64 rss_bytes(u64 mm);
/* Page faults of a process's threads so far. task is a struct task_struct * of any of them. */
u64 process_faults(u64 task);

static __always_inline bool is_rss_member(u32 member)
{
	return member == MM_FILEPAGES || member == MM_ANONPAGES || member == MM_SHMEMPAGES;
}

#endif
