/* How libc takes memory from the kernel and gives it back: its wrappers, by process. */
#include "calls.bpf.h"
#include "rss.bpf.h"

/* include/uapi/asm-generic/mman-common.h: advice after which pages are gone or may go */
enum { MADV_DONTNEED = 4, MADV_FREE = 8, MADV_REMOVE = 9, MADV_DONTNEED_LOCKED = 24 };

static __always_inline bool advice_gives_back(u32 advice)
{
	return advice == MADV_DONTNEED || advice == MADV_FREE || advice == MADV_REMOVE ||
	       advice == MADV_DONTNEED_LOCKED;
}

/* What the registers say at the entry. The break is the kernel's: brk and sbrk take different arguments. */
static __always_inline void read_arguments(struct pt_regs *ctx, struct mm_struct *mm, struct call *call)
{
	switch (call->shape) {
	case SHAPE_MMAP:
	case SHAPE_MUNMAP:
		call->addr = ctx->di;
		call->len = ctx->si;
		break;
	case SHAPE_MREMAP:
		call->addr = ctx->di;
		call->len = ctx->si;
		call->change = ctx->dx;
		break;
	case SHAPE_MADVISE:
		call->addr = ctx->di;
		call->len = ctx->si;
		call->advice = ctx->dx;
		break;
	case SHAPE_BRK:
		call->addr = BPF_CORE_READ(mm, brk);
		break;
	}
}

/* A read a CPU of the machine: not for mmap, whose pages come later. */
static __always_inline s64 call_rss(struct mm_struct *mm, u32 shape)
{
	return shape == SHAPE_MMAP ? 0 : rss_bytes((u64)mm);
}

static __always_inline bool memory_begin(struct pt_regs *ctx)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	u64 pid_tgid = bpf_get_current_pid_tgid(), cookie = bpf_get_attach_cookie(ctx);
	struct call_key key = call_key(pid_tgid, CALL_MEMORY);
	struct mm_struct *mm = BPF_CORE_READ(task, mm);
	struct call call = {}, *outer;

	if (!traced_process(pid_tgid))
		return false;
	outer = bpf_map_lookup_elem(&calls, &key);
	if (outer) {
		if (is_within(outer, SP_AT_INSTRUCTION(ctx), (u32)cookie))
			return false;
		count_loss(LOSS_NO_RETURN);
	}
	call.sp = SP_AT_INSTRUCTION(ctx);
	call.caller = user_word(call.sp);
	call.func = (u32)cookie;
	call.shape = cookie >> COOKIE_SHAPE_SHIFT & 0xff;
	read_arguments(ctx, mm, &call);
	call.rss = call_rss(mm, call.shape);
	call.time = bpf_ktime_get_ns();
	if (!bpf_map_update_elem(&calls, &key, &call, BPF_ANY))
		return true;
	count_loss(LOSS_PENDING_FULL);
	return false;
}

/* Returns false if nothing changed: sbrk(0). */
static __always_inline bool describe(struct pt_regs *ctx, struct mm_struct *mm, const struct call *call,
				     struct event_memory *rec)
{
	u64 brk;

	rec->addr = call->addr;
	rec->len = call->len;
	rec->advice = 0;
	rec->shrink = 0;
	rec->failed = ctx->ax == -1UL;
	switch (call->shape) {
	case SHAPE_MMAP:
		rec->op = MEMORY_MMAP;
		if (!rec->failed)
			rec->addr = ctx->ax;
		return true;
	case SHAPE_MUNMAP:
		rec->op = MEMORY_MUNMAP;
		rec->shrink = 1;
		rec->failed = (s32)ctx->ax == -1;
		return true;
	case SHAPE_MREMAP:
		rec->op = MEMORY_MREMAP;
		rec->shrink = call->change < call->len;
		rec->len = rec->shrink ? call->len - call->change : call->change - call->len;
		return true;
	case SHAPE_MADVISE:
		rec->op = MEMORY_MADVISE;
		rec->advice = call->advice;
		rec->shrink = advice_gives_back(call->advice);
		rec->failed = (s32)ctx->ax == -1;
		return true;
	default:
		brk = BPF_CORE_READ(mm, brk);
		rec->op = MEMORY_BRK;
		rec->shrink = brk < call->addr;
		rec->len = rec->shrink ? call->addr - brk : brk - call->addr;
		rec->failed = (s32)ctx->ax == -1;
		return rec->len || rec->failed;
	}
}

/* What this call does counts for the purge that its thread is in, and against others in flight. */
static __always_inline u64 charge_purge(u64 pid_tgid, u64 mm, const struct event_memory *rec)
{
	struct call_key key = call_key(pid_tgid, CALL_PURGE);
	struct call *purge = bpf_map_lookup_elem(&calls, &key);
	struct watch *watch;

	if (!purge)
		return 0;
	watch = bpf_map_lookup_elem(&watches, &mm);
	if (watch && !is_watched(watch)) {
		__sync_fetch_and_add(&watch->dropped, rec->rss_drop);
		purge->own_dropped += rec->rss_drop;
	}
	if (rec->shrink && !rec->failed) {
		purge->advised += rec->len;
		purge->calls++;
	}
	return purge->id;
}

static __always_inline void memory_end(struct pt_regs *ctx, u64 sp)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	u64 pid_tgid = bpf_get_current_pid_tgid();
	struct call_key key = call_key(pid_tgid, CALL_MEMORY);
	struct call *call = bpf_map_lookup_elem(&calls, &key);
	struct mm_struct *mm = BPF_CORE_READ(task, mm);
	struct event_memory *rec;
	s64 rss;

	if (!call || call->sp != sp)
		return;
	rss = call_rss(mm, call->shape);
	rec = ring_reserve(struct event_memory);
	if (rec && describe(ctx, mm, call, rec)) {
		fill_head(&rec->head, EVENT_MEMORY, pid_tgid, call->func, call->time);
		rec->caller = call->caller;
		rec->rss_drop = call->rss - rss;
		rec->purge_id = charge_purge(pid_tgid, (u64)mm, rec);
		ring_submit(rec, false);
	} else if (rec) {
		bpf_ringbuf_discard(rec, BPF_RB_NO_WAKEUP);
	}
	bpf_map_delete_elem(&calls, &key);
}

CALL_PROGRAMS(memory)
