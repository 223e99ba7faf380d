/* What the cgroup of the running task is charged, as memory.current has it (mm/memcontrol.c). One file includes it. */
#ifndef ALLOCTRACE_MEMCG_BPF_H
#define ALLOCTRACE_MEMCG_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#include "rss.bpf.h"

/* Bytes; −1: the kernel has no memory cgroups. A struct mem_cgroup begins with its cgroup_subsys_state. */
static __always_inline s64 memcg_bytes(struct task_struct *task)
{
	struct css_set *set = BPF_CORE_READ(task, cgroups);
	struct mem_cgroup *memcg = NULL;
	u32 number;

	if (!bpf_core_enum_value_exists(enum cgroup_subsys_id, memory_cgrp_id))
		return -1;
	number = bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id);
	bpf_probe_read_kernel(&memcg, sizeof(memcg),
			      (void *)set + bpf_core_field_offset(struct css_set, subsys) +
				      number * sizeof(void *));
	return memcg ? BPF_CORE_READ(memcg, memory.usage.counter) * PAGE_BYTES : -1;
}

#endif
