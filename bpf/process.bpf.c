/* Life of the traced processes: raw tracepoints, whose cost falls on fork, exec and exit only. */
#include "python.bpf.h"
#include "unwind.bpf.h"

#define SIGNAL_GROUP_EXIT 4 /* include/linux/sched/signal.h */

/* The child begins with what its parent has mapped, its interpreter too. */
static __always_inline void inherit_tables(u32 parent, u32 child)
{
	struct python_layout *layout = bpf_map_lookup_elem(&python_layouts, &parent);
	u32 *space = bpf_map_lookup_elem(&unwind_processes, &parent);

	if (space)
		bpf_map_update_elem(&unwind_processes, &child, space, BPF_ANY);
	if (layout)
		bpf_map_update_elem(&python_layouts, &child, layout, BPF_ANY);
}

/* Before it has run a single instruction. False: it could not be noted, and is not covered. */
static __always_inline bool cover_child(const struct traced *parent, u64 pid_tgid, u32 child)
{
	struct traced young = {
		.sees_loads = parent->sees_loads,
		.flags = TRACED_FOLLOWED | TRACED_YOUNG,
	};

	if (!(parent->flags & TRACED_FOLLOWED))
		return false;
	inherit_tables(pid_tgid >> 32, child);
	__sync_fetch_and_add(&young_forked, 1);
	bpf_map_update_elem(&traced, &child, &young, BPF_ANY);
	return true;
}

/* (parent, child); threads too */
SEC("raw_tp/sched_process_fork")
int process_fork(struct bpf_raw_tracepoint_args *ctx)
{
	u64 pid_tgid = bpf_get_current_pid_tgid();
	struct task_struct *child = (struct task_struct *)ctx->args[1];
	u32 tgid = BPF_CORE_READ(child, tgid);
	const struct traced *parent;
	struct event_fork *rec;

	parent = tgid == pid_tgid >> 32 ? NULL : traced_process(pid_tgid);
	if (!parent)
		return 0;
	rec = ring_reserve(struct event_fork);
	if (!rec)
		return 0;
	fill_head(&rec->head, EVENT_FORK, pid_tgid, 0, bpf_ktime_get_ns());
	rec->child = tgid;
	rec->covered = cover_child(parent, pid_tgid, tgid);
	ring_submit(rec, true);
	return 0;
}

/* User space knows nothing of it yet: what it inherited is wrong of another program. */
static __always_inline void forget_tables(u32 tgid)
{
	bpf_map_delete_elem(&unwind_processes, &tgid);
	bpf_map_delete_elem(&python_layouts, &tgid);
}

/* (task, old pid, binary): the thread that called exec has become the leader by now */
SEC("raw_tp/sched_process_exec")
int process_exec(struct bpf_raw_tracepoint_args *ctx)
{
	u64 pid_tgid = bpf_get_current_pid_tgid();
	const struct traced *process = traced_process(pid_tgid);
	struct event_exec *rec;

	if (!process)
		return 0;
	if (process->flags & TRACED_YOUNG)
		forget_tables(pid_tgid >> 32);
	rec = ring_reserve(struct event_exec);
	if (!rec)
		return 0;
	fill_head(&rec->head, EVENT_EXEC, pid_tgid, 0, bpf_ktime_get_ns());
	rec->head.tid = (u32)ctx->args[1];
	bpf_get_current_comm(rec->comm, sizeof(rec->comm));
	ring_submit(rec, true);
	return 0;
}

#define PIDS_END 4194304 /* include/linux/threads.h, PID_MAX_LIMIT: addresses are above */

/* (pid) up to 6.8, (task, uid) since then; in whichever process ran out of memory */
SEC("raw_tp/mark_victim")
int process_oom(struct bpf_raw_tracepoint_args *ctx)
{
	u64 victim = ctx->args[0], now = bpf_ktime_get_ns();
	u32 tgid = victim <= PIDS_END ? (u32)victim : BPF_CORE_READ((struct task_struct *)victim, tgid);
	struct event_head *rec;

	if (!traced_process((u64)tgid << 32))
		return 0;
	rec = ring_reserve(struct event_head);
	if (!rec)
		return 0;
	fill_head(rec, EVENT_OOM, (u64)tgid << 32 | tgid, 0, now);
	ring_submit(rec, true);
	return 0;
}

static __always_inline u32 exit_code_of(struct task_struct *task)
{
	struct signal_struct *signal = BPF_CORE_READ(task, signal);

	if (BPF_CORE_READ(signal, flags) & SIGNAL_GROUP_EXIT)
		return BPF_CORE_READ(signal, group_exit_code);
	return BPF_CORE_READ(task, exit_code);
}

/* (task): each thread; the process ends with its last */
SEC("raw_tp/sched_process_exit")
int process_exit(struct bpf_raw_tracepoint_args *ctx)
{
	u64 pid_tgid = bpf_get_current_pid_tgid();
	struct task_struct *task = (struct task_struct *)ctx->args[0];
	struct event_exit *rec;

	if (!traced_process(pid_tgid) || BPF_CORE_READ(task, signal, live.counter) > 0)
		return 0;
	rec = ring_reserve(struct event_exit);
	if (!rec)
		return 0;
	fill_head(&rec->head, EVENT_EXIT, pid_tgid, 0, bpf_ktime_get_ns());
	rec->code = exit_code_of(task);
	rec->pad = 0;
	ring_submit(rec, true);
	return 0;
}
