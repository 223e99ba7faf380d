/*
 * The first milliseconds of a forked child, until its own probes are placed: programs of perf events
 * that it inherits (user/probe/early.h). One event serves all spots of a file, so that an attach
 * cookie tells the file only: the function is found by where in the file the instruction is.
 * Included by malloc.bpf.c, behind all that records a call.
 */
#ifndef ALLOCTRACE_EARLY_BPF_H
#define ALLOCTRACE_EARLY_BPF_H

#define PAGE_SHIFT 12 /* of vm_pgoff, x86-64 */

/* By offset; user space fills it before the event is opened. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct early_key);
	__type(value, struct early_spot);
	__uint(max_entries, EARLY_SPOTS_MAX);
} early_spots SEC(".maps");

/* By address: user space fills in the parent's, which are the child's up to its exec. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, struct early_key);
	__type(value, struct early_spot);
	__uint(max_entries, EARLY_SPOTS_MAX);
} early_places SEC(".maps");

struct place {
	u64 addr, offset;
};

static long take_place(struct task_struct *task, struct vm_area_struct *vma, struct place *place)
{
	(void)task;
	place->offset = place->addr - BPF_CORE_READ(vma, vm_start) +
			(BPF_CORE_READ(vma, vm_pgoff) << PAGE_SHIFT);
	return 0;
}

/* After an exec. From Linux 5.17 on; before, an exec'd child is seen from its own probes on. */
static __always_inline const struct early_spot *find_spot(struct early_key *key)
{
	struct place place = {.addr = key->at};
	struct early_key by_offset = {.event = key->event};
	const struct early_spot *spot;

	if (!bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_find_vma) ||
	    bpf_find_vma(bpf_get_current_task_btf(), place.addr, take_place, &place, 0))
		return NULL;
	by_offset.at = place.offset;
	spot = bpf_map_lookup_elem(&early_spots, &by_offset);
	if (spot)
		bpf_map_update_elem(&early_places, key, spot, BPF_ANY);
	return spot;
}

static __always_inline const struct early_spot *early_spot(struct pt_regs *ctx)
{
	struct early_key key = {.event = (u32)bpf_get_attach_cookie(ctx), .at = context_word(ctx, ip)};
	const struct early_spot *spot = bpf_map_lookup_elem(&early_places, &key);

	return spot ? spot : find_spot(&key);
}

/* Whether this hit is the inherited event's to record: nobody's but a young process's that has no probe there. */
static __always_inline bool is_early(struct pt_regs *ctx, u64 pid_tgid)
{
	const struct traced *process = traced_process(pid_tgid);
	u64 *claimed;

	if (!process || !(process->flags & TRACED_YOUNG))
		return false;
	claimed = bpf_map_lookup_elem(&claims, &pid_tgid);
	if (!claimed || *claimed != context_word(ctx, ip))
		return true;
	*claimed = 0;
	return false;
}

/* A global function: the verifier goes through its loops once, whatever leads there. */
__noinline u64 is_early_nested(u64 sp, u64 func)
{
	return is_nested(bpf_get_current_task_btf(), sp, (u32)func);
}

/* What malloc_enter or free_enter would do. */
static __always_inline void enter(struct pt_regs *ctx, u64 pid_tgid, u64 cookie, bool frees)
{
	u64 block = frees || is_realloc(cookie) ? read_argument(ctx, cookie, COOKIE_PTR_SHIFT) : 0, kept = 0;
	struct passage passage = {0}; /* nothing is inherited under a budget */

	if ((frees && !block) ||
	    is_early_nested(SP_AT_INSTRUCTION(ctx), (u32)cookie))
		return;
	if (!block)
		kept = kept_of_alloc(ctx, cookie);
	else if (record_leaving(ctx, &passage, frees ? EVENT_FREE : EVENT_REALLOC_BEGIN, pid_tgid, cookie, block) &&
		 !frees)
		kept = kept_of_realloc(ctx, cookie);
	if (kept)
		keep_pending(ctx, pid_tgid, cookie, kept);
}

SEC("uprobe/early")
int early_enter(struct pt_regs *ctx)
{
	u64 pid_tgid = bpf_get_current_pid_tgid();
	const struct early_spot *spot;

	if (!has_young() || !is_early(ctx, pid_tgid))
		return 0;
	spot = early_spot(ctx);
	if (!spot)
		count_loss(LOSS_UNREADABLE);
	else if (spot->act == EARLY_END)
		end_pending(ctx, SP_AT_INSTRUCTION(ctx), false);
	else
		enter(ctx, pid_tgid, spot->cookie, spot->act == EARLY_FREE);
	return 0;
}

/* Also of a call that began before the process got its own probes, and ends after. */
SEC("uretprobe/early")
int early_return(struct pt_regs *ctx)
{
	if (has_young())
		end_pending(ctx, SP_AT_RETURN(ctx), true);
	return 0;
}

#endif
