/*
 * Purges: functions that ask an allocator to return memory. What left RSS because of one
 * is the fall of RSS across the call plus what other threads added meanwhile.
 *
 * The second part comes from kmem:rss_stat, which user space attaches while a purge is in
 * flight. It says that a counter of an address space changed, not by how much: that is
 * worked out from this CPU's slot of the counter, which other CPUs' changes do not touch.
 * Until it is attached (a millisecond) the other threads' page faults are taken, a page each,
 * and what other purges gave back by their system calls.
 */
#include "control.bpf.h"
#include "frames.bpf.h"
#include "memcg.bpf.h"
#include "rss.bpf.h"

struct cpu_slots {
	s32 v[NR_MM_COUNTERS]; /* as last seen on this CPU */
	u64 generation;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_PERCPU_HASH);
	__type(key, u64);
	__type(value, struct cpu_slots);
	__uint(max_entries, WATCHES_MAX);
} slots SEC(".maps");

/* percpu_counter_batch of lib/percpu_counter.c, as the loader works it out. */
const volatile __u32 counter_batch = 32;

/* Every CPU's offset, and how to find a counter: rss.bpf.c. */
extern __u64 cpu_offset[CPUS_MAX];

static __always_inline u64 own_faults(struct task_struct *task)
{
	return BPF_CORE_READ(task, min_flt) + BPF_CORE_READ(task, maj_flt);
}

/* From when on the other threads have been watched during the call; 0: not. */
static __always_inline u64 watched_from(u64 mm, const struct call *call)
{
	struct watch *watch = bpf_map_lookup_elem(&watches, &mm);

	if (!watch || !is_watched(watch))
		return 0;
	return watch->since > call->time ? watch->since : call->time;
}

/* Page faults of other threads from the call's begin until they were watched, or until now. */
static __always_inline u64 unwatched_faults(struct task_struct *task, u64 mm, const struct call *call)
{
	u64 from = watched_from(mm, call);
	struct watch *watch;

	if (!from)
		return process_faults((u64)task) - call->faults - (own_faults(task) - call->own_faults);
	watch = bpf_map_lookup_elem(&watches, &mm);
	return watch && watch->since > call->time ? watch->faults - call->faults : 0;
}

/* Bytes that other threads added to RSS since the call began. */
static __always_inline s64 others_rss(struct task_struct *task, u64 mm, const struct call *call)
{
	s64 bytes = unwatched_faults(task, mm, call) * PAGE_BYTES;
	struct watch *watch = bpf_map_lookup_elem(&watches, &mm);

	if (!watch)
		return bytes;
	bytes += watch->all - call->all_rss - call->own_rss;
	return bytes - (watch->dropped - call->all_dropped - call->own_dropped);
}

static __always_inline bool other_threads(struct task_struct *task)
{
	return BPF_CORE_READ(task, signal, nr_threads) > 1;
}

static __always_inline void announce(u64 pid_tgid, const struct call *call)
{
	struct event_purge_begin *rec = ring_reserve(struct event_purge_begin);

	if (!rec)
		return;
	fill_head(&rec->head, EVENT_PURGE_BEGIN, pid_tgid, call->func, call->time);
	rec->id = call->id;
	rec->flags = call->flags & PURGE_OTHERS_RAN;
	rec->pad = 0;
	ring_submit(rec, true);
}

static const struct watch unwatched; /* not on the stack: there is little */

/* Whether a call begins here whose return is to be seen. */
static __always_inline bool purge_begin(struct pt_regs *ctx)
{
	u64 asked = 0, control = 0;
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	u64 pid_tgid = bpf_get_current_pid_tgid(), cookie = bpf_get_attach_cookie(ctx);
	struct call_key key = call_key(pid_tgid, CALL_PURGE);
	u64 mm = (u64)BPF_CORE_READ(task, mm);
	struct call call = {}, *outer;
	struct watch *watch;

	if (!traced_process(pid_tgid))
		return false;
	if ((cookie >> COOKIE_SHAPE_SHIFT & 0xff) != SHAPE_PURGE) {
		asked = control_asked(cookie, ctx->di, ctx->si);
		control = asked >> 32;
		if (!control)
			return false;
	}
	outer = bpf_map_lookup_elem(&calls, &key);
	if (outer) {
		if (is_within(outer, SP_AT_INSTRUCTION(ctx), (u32)cookie))
			return false;
		count_loss(LOSS_NO_RETURN);
	}
	bpf_map_update_elem(&watches, &mm, (void *)&unwatched, BPF_NOEXIST);
	call.sp = SP_AT_INSTRUCTION(ctx);
	call.caller = user_word(call.sp);
	call.stack = takes_stacks ? take_stack(ctx, pid_tgid, STACK_AT_CALL) : 0;
	call.func = (u32)cookie;
	call.shape = SHAPE_PURGE;
	call.flags = (cookie & COOKIE_HAS_RESULT ? PURGE_HAS_RESULT : 0) |
		     (other_threads(task) ? PURGE_OTHERS_RAN : 0) | control << PURGE_CONTROL_SHIFT;
	call.arg = control && control != CONTROL_UNREAD ? (u32)asked : ctx->di;
	watch = bpf_map_lookup_elem(&watches, &mm);
	if (watch) {
		call.all_rss = watch->all;
		call.all_dropped = watch->dropped;
	}
	call.faults = process_faults((u64)task);
	call.own_faults = own_faults(task);
	call.cgroup = memcg_bytes(task);
	call.rss = rss_bytes(mm);
	call.time = bpf_ktime_get_ns();
	/* Unique: a CPU is at one time in one purge's beginning. */
	call.id = call.time << 10 | (bpf_get_smp_processor_id() & 1023);
	if (bpf_map_update_elem(&calls, &key, &call, BPF_ANY)) {
		count_loss(LOSS_PENDING_FULL);
		return false;
	}
	if (control != CONTROL_UNREAD)
		announce(pid_tgid, &call);
	return true;
}

/*
 * Whether what ends is a purge. A name that could not be read at the begin, in a page of the
 * program that nobody had touched yet, has been read by jemalloc since.
 */
static __always_inline bool is_purge(struct call *call)
{
	u64 asked, control;

	if (PURGE_CONTROL(call->flags) != CONTROL_UNREAD)
		return true;
	asked = control_asked((u64)SHAPE_CONTROL << COOKIE_SHAPE_SHIFT, call->arg, 0);
	control = asked >> 32;
	if (control == CONTROL_UNREAD)
		count_loss(LOSS_UNREADABLE);
	if (!control || control == CONTROL_UNREAD)
		return false;
	call->flags = (call->flags & ((1u << PURGE_CONTROL_SHIFT) - 1)) | control << PURGE_CONTROL_SHIFT;
	call->arg = (u32)asked;
	return true;
}

static __always_inline void purge_end(struct pt_regs *ctx, u64 sp)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	u64 pid_tgid = bpf_get_current_pid_tgid(), now = bpf_ktime_get_ns();
	struct call_key key = call_key(pid_tgid, CALL_PURGE);
	struct call *call = bpf_map_lookup_elem(&calls, &key);
	u64 mm = (u64)BPF_CORE_READ(task, mm);
	s64 rss, rss_others, cgroup;
	struct event_purge *rec;

	if (!call || call->sp != sp)
		return;
	rss = rss_bytes(mm);
	rss_others = others_rss(task, mm, call);
	cgroup = call->cgroup < 0 ? -1 : memcg_bytes(task);
	rec = is_purge(call) ? ring_reserve(struct event_purge) : NULL;
	if (rec) {
		fill_head(&rec->head, EVENT_PURGE, pid_tgid, call->func, call->time);
		rec->id = call->id;
		rec->caller = call->caller;
		rec->stack = call->stack;
		rec->arg = call->arg;
		rec->result = ctx->ax;
		rec->duration = now - call->time;
		rec->rss = rss;
		rec->rss_drop = call->rss - rss;
		rec->rss_others = rss_others;
		rec->cgroup_drop = cgroup < 0 ? 0 : call->cgroup - cgroup;
		rec->watched_from = watched_from(mm, call);
		rec->advised = call->advised;
		rec->calls = call->calls;
		rec->flags = call->flags | (other_threads(task) ? PURGE_OTHERS_RAN : 0) |
			     (cgroup < 0 ? 0 : PURGE_HAS_CGROUP);
		ring_submit(rec, true); /* before a walk shows what it did */
	}
	bpf_map_delete_elem(&calls, &key);
}

CALL_PROGRAMS(purge)

/*
 * The change that this event tells of. It is the slot's, unless the slot has just been folded
 * into the count: then it is 0, and the count has grown by slot and change together. Another
 * CPU may have folded at the same moment, and the two not be told apart by the count; but a
 * slot that stood one below the batch was folded by a single page, which is what faults add.
 */
static __always_inline s64 percpu_change(struct percpu_counter *counter, struct watch *watch,
					 struct cpu_slots *seen, u32 member)
{
	s32 before = seen->v[member], batch = counter_batch, slot = 0;
	u32 cpu = bpf_get_smp_processor_id();
	s64 folded;

	if (cpu >= CPUS_MAX)
		return 0;
	bpf_probe_read_kernel(&slot, sizeof(slot),
			      (void *)BPF_CORE_READ(counter, counters) + cpu_offset[cpu]);
	seen->v[member] = slot;
	if (slot)
		return slot - before;
	if (before == batch - 1)
		folded = batch;
	else if (before == 1 - batch)
		folded = -batch;
	else
		folded = BPF_CORE_READ(counter, count) - watch->count[member];
	if (!folded)
		return -before;
	/* What another CPU folded and this took for its own is missing there: the sum stays right. */
	__sync_fetch_and_add(&watch->count[member], folded);
	return folded - before;
}

/* Up to 6.1: one atomic for all; threads that change it at the same moment are mistaken for one another. */
static __always_inline s64 atomic_change(s64 count, struct watch *watch, u32 member)
{
	s64 change = count - watch->count[member];

	watch->count[member] = count;
	return change;
}

/* The first event on a CPU only tells from where to count. */
static __always_inline void seed_slots(struct mm_struct *mm, struct cpu_slots *seen)
{
	u32 cpu = bpf_get_smp_processor_id();

	if (cpu >= CPUS_MAX)
		return;
#pragma unroll
	for (u32 i = 0; i < NR_MM_COUNTERS; i++)
		bpf_probe_read_kernel(&seen->v[i], sizeof(seen->v[i]),
				      (void *)BPF_CORE_READ(mm, rss_stat[i].counters) + cpu_offset[cpu]);
	seen->generation = watch_generation;
}

/*
 * False if it is not one of its own threads that changed the counter (reclaim, a remote access):
 * then the process's faults are not at hand, and counting begins with the next.
 */
static __always_inline bool seed_counts(struct mm_struct *mm, struct watch *watch)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct mm_struct___atomic *old = (void *)mm;

	if (BPF_CORE_READ(task, mm) != mm)
		return false;
	if (bpf_core_field_exists(mm->rss_stat[0].counters)) {
#pragma unroll
		for (u32 i = 0; i < NR_MM_COUNTERS; i++)
			watch->count[i] = BPF_CORE_READ(mm, rss_stat[i].count);
	} else {
#pragma unroll
		for (u32 i = 0; i < NR_MM_COUNTERS; i++)
			watch->count[i] = BPF_CORE_READ(old, rss_stat.count[i].counter);
	}
	watch->faults = process_faults((u64)task);
	watch->since = bpf_ktime_get_ns();
	watch->generation = watch_generation;
	return true;
}

/* The address of one member, for indices that are known only at run time. */
static __always_inline struct percpu_counter *counter_of(struct mm_struct *mm, u32 member)
{
	return (void *)mm + bpf_core_field_offset(struct mm_struct, rss_stat) +
	       member * bpf_core_type_size(struct percpu_counter);
}

static __always_inline s64 change_of(u64 mm_addr, struct mm_struct *mm, struct watch *watch, u32 member)
{
	struct cpu_slots *seen, unseen = {};
	s64 count = 0;

	if (!bpf_core_field_exists(mm->rss_stat[0].counters)) {
		struct mm_struct___atomic *old = (void *)mm;

		bpf_probe_read_kernel(&count, sizeof(count), &old->rss_stat.count[member & 3].counter);
		return atomic_change(count, watch, member);
	}
	seen = bpf_map_lookup_elem(&slots, &mm_addr);
	if (!seen) {
		bpf_map_update_elem(&slots, &mm_addr, &unseen, BPF_NOEXIST);
		seen = bpf_map_lookup_elem(&slots, &mm_addr);
	}
	if (!seen)
		return 0;
	if (seen->generation == watch_generation)
		return percpu_change(counter_of(mm, member), watch, seen, member);
	seed_slots(mm, seen);
	if (!seen->v[member]) /* perhaps just folded: that change is past too */
		watch->count[member] = BPF_CORE_READ(counter_of(mm, member), count);
	return 0;
}

/* (mm, member): once a counter changed; every process of the machine comes here while it is attached. */
SEC("raw_tp/rss_stat")
int rss_watch(struct bpf_raw_tracepoint_args *ctx)
{
	u64 mm = ctx->args[0], member = (u32)ctx->args[1];
	struct call_key key = call_key(bpf_get_current_pid_tgid(), CALL_PURGE);
	struct watch *watch = bpf_map_lookup_elem(&watches, &mm);
	struct call *own;
	s64 bytes;

	if (!watch || !is_rss_member(member))
		return 0;
	if (watch->generation != watch_generation && !seed_counts((void *)mm, watch))
		return 0;
	bytes = change_of(mm, (void *)mm, watch, member & 3) * PAGE_BYTES;
	__sync_fetch_and_add(&watch->all, bytes);
	own = bpf_map_lookup_elem(&calls, &key);
	if (own)
		own->own_rss += bytes;
	return 0;
}
