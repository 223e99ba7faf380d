/* Opens and closes gates: see gate.bpf.h. */
#include "gate.bpf.h"

struct gates_map gates SEC(".maps");
struct gates_spent_map gates_spent SEC(".maps");
struct gate_slots_map gate_slots SEC(".maps");
struct alarms_map alarms SEC(".maps");

const volatile bool is_budgeted = false;

__u32 last_slots[GATE_STREAMS][CPUS_MAX];

/* Slots that are taken: user space puts a gate's key there before all else of it. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, u32);
	__type(value, u64);
	__uint(max_entries, GATES_MAX);
} taken_slots SEC(".maps");

static __always_inline void fill_cell(struct event_cell *cell, const u64 *args)
{
	fill_head(&cell->head, EVENT_CELL, args[CELL_ARG_GATE] << 32, args[CELL_ARG_GATE] >> 32,
		  bpf_ktime_get_ns());
	cell->number = args[CELL_ARG_NUMBER];
	cell->chance = args[CELL_ARG_CHANCE];
	cell->sample_bytes = args[CELL_ARG_SAMPLE];
	cell->free_sample_bytes = args[CELL_ARG_FREE_SAMPLE];
	cell->progress = args[CELL_ARG_PROGRESS];
	cell->progress_error = args[CELL_ARG_ERROR];
	cell->cpu = args[CELL_ARG_CPU];
	cell->hits = args[CELL_ARG_HITS];
	cell->share = args[CELL_ARG_SHARE];
	cell->share_error = args[CELL_ARG_SHARE] >> 32;
	cell->state = args[CELL_ARG_STATE];
	cell->by_share = args[CELL_ARG_STATE] >> 32;
}

/*
 * Run by user space. The record of a BEGIN stands before all that it lets through, that of an END behind
 * all but what is on its way. Without room for it the gate stays closed. Not 0: it is closed, or not there.
 */
SEC("raw_tp")
int cell_mark(struct bpf_raw_tracepoint_args *ctx)
{
	u64 args[CELL_ARG_CNT];
	struct event_cell *cell;
	u32 state;
	struct gate *gate;

#pragma unroll
	for (int i = 0; i < CELL_ARG_CNT; i++)
		args[i] = ctx->args[i];
	gate = gate_of(args[CELL_ARG_GATE]);
	if (!gate)
		return 1;
	state = args[CELL_ARG_STATE];
	if (state == CELL_GO_ON) {
		gate->limit = gate->hits + args[CELL_ARG_QUOTA];
		return !gate->open;
	}
	if (state != CELL_BEGIN)
		gate->open = 0;
	cell = ring_reserve(struct event_cell);
	if (!cell)
		return 1;
	fill_cell(cell, args);
	ring_submit(cell, false);
	if (state != CELL_BEGIN)
		return 0;
	gate->sample_bytes = args[CELL_ARG_SAMPLE];
	gate->free_sample_bytes = args[CELL_ARG_FREE_SAMPLE];
	gate->limit = gate->hits + args[CELL_ARG_QUOTA];
	gate->cell = args[CELL_ARG_NUMBER];
	gate->open = 1;
	return 0;
}

/*
 * x86-64: the privilege level that was interrupted. The context is struct bpf_perf_event_data, which begins with the
 * registers in struct pt_regs' order; it is read by whole words only.
 */
#define PT_REGS_CS 17

static __always_inline bool was_in_user_mode(const unsigned long *regs)
{
	return (regs[PT_REGS_CS] & 3) == 3;
}

/* A timer has stopped by (probe/looks.h): in which mode was it? */
SEC("perf_event")
int gate_look(unsigned long *ctx)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32;
	bool user = was_in_user_mode(ctx);
	struct passage passage;

	for (u32 stream = 0; stream < GATE_STREAMS; stream++) {
		if (!find_gate(&passage, tgid, stream) || !passage.gate->open)
			continue;
		if (user)
			passage.spent->user_looks++;
		else
			passage.spent->system_looks++;
	}
	return 0;
}

/* A milestone of a process under a budget is passed: its number is the cookie. */
SEC("uprobe/milestone")
int milestone_pass(struct pt_regs *ctx)
{
	u64 number = bpf_get_attach_cookie(ctx);
	struct passage passage;

	if (number < MILESTONES_MAX && find_gate(&passage, bpf_get_current_pid_tgid() >> 32, CELL_BLOCKS))
		passage.spent->passes[number]++;
	return 0;
}

/* By how much CLOCK_MONOTONIC is ahead of the scheduler's clock, ns, and a few microseconds more. */
__u64 scheduler_lag;

#define THREADS_MAX 4096

/* Time in interrupts, and what a hypervisor took: the times of threads of that CPU leave it out. */
static __always_inline u64 left_out(struct task_struct *task)
{
	struct rq *rq = BPF_CORE_READ(task, se.cfs_rq, rq);

	return BPF_CORE_READ(rq, clock) - BPF_CORE_READ(rq, clock_task);
}

static __always_inline bool knows_clocks(void)
{
	return bpf_core_field_exists(((struct sched_entity *)0)->cfs_rq) &&
	       bpf_core_field_exists(((struct task_struct *)0)->on_cpu) &&
	       bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_loop);
}

__u64 clock_reading_ns;

#define READINGS 16

/* The least that was seen. */
static __always_inline void time_clock(void)
{
	u64 began = bpf_ktime_get_ns(), took;

#pragma unroll
	for (int i = 0; i < READINGS - 1; i++)
		bpf_ktime_get_ns();
	took = (bpf_ktime_get_ns() - began) / READINGS;
	if (!clock_reading_ns || took < clock_reading_ns)
		clock_reading_ns = took;
}

/* Run by user space from a thread that has just been woken: its own start is the clock's reading. */
SEC("raw_tp")
int gate_clock(void *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();

	(void)ctx;
	time_clock();
	if (knows_clocks())
		scheduler_lag = bpf_ktime_get_ns() - BPF_CORE_READ(task, se.exec_start) - left_out(task);
	return 0;
}

struct running {
	u64 node, head; /* in the list of the process's threads */
	u64 now;        /* of the scheduler's clock */
	u64 sum;        /* ns */
};

#define RUNNING_MAX_NS 100000000ULL /* a tick adds it to the thread's time: more is a mistake */

/* 1: there is no more to look at. */
static long add_running(u64 i, void *arg)
{
	struct running *of = arg;
	struct task_struct *task =
		(void *)(of->node - bpf_core_field_offset(struct task_struct, thread_node));
	u64 ran;

	(void)i;
	if (of->node == of->head)
		return 1;
	if (BPF_CORE_READ(task, on_cpu)) {
		ran = of->now - left_out(task) - BPF_CORE_READ(task, se.exec_start);
		if (ran < RUNNING_MAX_NS)
			of->sum += ran;
	}
	of->node = (u64)BPF_CORE_READ(task, thread_node.next);
	return 0;
}

/*
 * What the process's running threads have run since that was last added to their CPU time, a tick ago at most
 * (kernel/sched/cputime.c, thread_group_cputime: only one's own is up to date): ns. 0 where it cannot be told.
 */
SEC("raw_tp")
int gate_running(struct bpf_raw_tracepoint_args *ctx)
{
	struct gate *gate = gate_of(GATE_KEY(ctx->args[0], CELL_BLOCKS));
	struct signal_struct *signal = gate ? (void *)gate->signal : NULL;
	struct running of = {.now = bpf_ktime_get_ns() - scheduler_lag};

	if (!signal || !scheduler_lag || !knows_clocks())
		return 0;
	of.node = (u64)BPF_CORE_READ(signal, thread_head.next);
	of.head = (u64)signal + bpf_core_field_offset(struct signal_struct, thread_head);
	bpf_loop(THREADS_MAX, add_running, &of, 0);
	return of.sum;
}
