/* Programs to compare ours with, at the same places: nothing at all, and what memleak does. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

/* What our vmlinux.h lacks, since ours does without. */
#define BPF_MAP_TYPE_STACK_TRACE 7

/* Of a session it keeps the return too. */
SEC("uprobe")
int empty_call(struct pt_regs *ctx)
{
	(void)ctx;
	return 0;
}

SEC("uprobe")
int empty(struct pt_regs *ctx)
{
	(void)ctx;
	return 0;
}

/*
 * libbpf-tools memleak (0.31): the size waits in a map by thread, the block's figures lie in a map by
 * address, sums in another by stack; maps of the same kinds and sizes.
 */
struct allocation {
	u64 size, time;
	s32 stack;
};

#define SUM_OF_ONE(size) ((size) | 1ULL << 40) /* bytes in the low 40 bits, blocks above */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, u32);
	__type(value, u64);
	__uint(max_entries, 10240);
} waiting SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, u64);
	__type(value, struct allocation);
	__uint(max_entries, 1000000);
} allocations SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, u64);
	__type(value, u64);
	__uint(max_entries, 10240);
} sums SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(key_size, sizeof(u32));
	__uint(value_size, 127 * sizeof(u64));
	__uint(max_entries, 10240);
} stacks SEC(".maps");

static u64 *sum_of(u64 stack)
{
	u64 *sum = bpf_map_lookup_elem(&sums, &stack), none = 0;

	if (sum)
		return sum;
	bpf_map_update_elem(&sums, &stack, &none, BPF_NOEXIST);
	return bpf_map_lookup_elem(&sums, &stack);
}

SEC("uprobe")
int memleak_enter(struct pt_regs *ctx)
{
	u32 tid = bpf_get_current_pid_tgid();
	u64 size = PT_REGS_PARM1(ctx);

	bpf_map_update_elem(&waiting, &tid, &size, BPF_ANY);
	return 0;
}

SEC("uretprobe")
int memleak_return(struct pt_regs *ctx)
{
	u32 tid = bpf_get_current_pid_tgid();
	u64 block = PT_REGS_RC(ctx), *size = bpf_map_lookup_elem(&waiting, &tid), *sum;
	struct allocation a = {};

	if (!size)
		return 0;
	a.size = *size;
	bpf_map_delete_elem(&waiting, &tid);
	if (!block)
		return 0;
	a.time = bpf_ktime_get_ns();
	a.stack = bpf_get_stackid(ctx, &stacks, BPF_F_USER_STACK);
	bpf_map_update_elem(&allocations, &block, &a, BPF_ANY);
	sum = sum_of(a.stack);
	if (sum)
		__sync_fetch_and_add(sum, SUM_OF_ONE(a.size));
	return 0;
}

SEC("uprobe")
int memleak_free(struct pt_regs *ctx)
{
	u64 block = PT_REGS_PARM1(ctx), stack, size, *sum;
	struct allocation *a = bpf_map_lookup_elem(&allocations, &block);

	if (!a)
		return 0;
	stack = a->stack;
	size = a->size;
	bpf_map_delete_elem(&allocations, &block);
	sum = bpf_map_lookup_elem(&sums, &stack);
	if (sum)
		__sync_fetch_and_add(sum, -SUM_OF_ONE(size));
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
