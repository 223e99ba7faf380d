/* Hashes of what is known by its contents: stacks, code objects. */
#ifndef ALLOCTRACE_MIX_BPF_H
#define ALLOCTRACE_MIX_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

static __always_inline u64 mix(u64 hash, u64 word)
{
	hash = (hash ^ word) * 0x9e3779b97f4a7c15ULL;
	return hash ^ hash >> 29;
}

#endif
