/*
 * The gates of a process's blocks under a budget, and of its Python objects: they count hits and what these
 * take, and say which are recorded. Without a budget blocks have none. The maps belong to gate.bpf.c.
 */
#ifndef ALLOCTRACE_GATE_BPF_H
#define ALLOCTRACE_GATE_BPF_H

#include "events.bpf.h"

/* Arrays, whose lookup is no call: a slot of both is a gate's. */
struct gates_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, u32);
	__type(value, struct gate);
	__uint(max_entries, GATES_MAX);
};
extern struct gates_map gates SEC(".maps");

struct gates_spent_map {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, u32);
	__type(value, struct gate_spent);
	__uint(max_entries, GATES_MAX);
};
extern struct gates_spent_map gates_spent SEC(".maps");

struct gate_slots_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, u64); /* GATE_KEY */
	__type(value, u32);
	__uint(max_entries, GATES_MAX);
};
extern struct gate_slots_map gate_slots SEC(".maps");

/* The slots that were last come to, by stream and CPU: most often it is the same process. */
extern __u32 last_slots[GATE_STREAMS][CPUS_MAX];

struct alarms_map {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, ALARMS_SIZE);
};
extern struct alarms_map alarms SEC(".maps");

extern const volatile bool is_budgeted; /* set by the loader */
extern __u64 clock_reading_ns;          /* that reading the clock takes (gate_clock): no part of what is timed */

/* A program on its way. */
struct passage {
	struct gate *gate;        /* NULL: there is none */
	struct gate_spent *spent; /* with it */
	u64 began;                /* ns; 0: it is not timed */
};

static __always_inline struct gate *gate_in(u32 slot, u64 key)
{
	struct gate *gate = bpf_map_lookup_elem(&gates, &slot);

	return gate && gate->key == key ? gate : NULL;
}

static __always_inline struct gate *gate_of(u64 key)
{
	u32 *slot = bpf_map_lookup_elem(&gate_slots, &key);

	return slot ? gate_in(*slot, key) : NULL;
}

/* Its gate, if there is one. */
static __always_inline bool find_gate(struct passage *passage, u32 tgid, u32 stream)
{
	u32 *last = &last_slots[stream][bpf_get_smp_processor_id() & (CPUS_MAX - 1)], slot = *last, *found;
	u64 key = GATE_KEY(tgid, stream);

	*passage = (struct passage){.gate = gate_in(slot, key)};
	if (!passage->gate) {
		found = bpf_map_lookup_elem(&gate_slots, &key);
		if (!found)
			return false;
		*last = slot = *found;
		passage->gate = gate_in(slot, key);
	}
	if (passage->gate)
		passage->spent = bpf_map_lookup_elem(&gates_spent, &slot);
	if (!passage->spent)
		passage->gate = NULL;
	return passage->spent;
}

/*
 * Between two hits of a thread on this CPU, with no other's there, its ticks were the probes' and its own.
 * In one cell only: between two of them there were no probes, and all was its own.
 */
static __always_inline void see_ticks(struct gate_spent *spent, u64 cell)
{
	struct task_struct *task = bpf_get_current_task_btf();
	u64 utime = task->utime, stime = task->stime;

	if (spent->task == (u64)task && spent->cell == cell) {
		spent->user_ns += utime - spent->utime;
		spent->system_ns += stime - spent->stime;
	}
	spent->task = (u64)task;
	spent->cell = cell;
	spent->utime = utime;
	spent->stime = stime;
}

static __always_inline void close_by_limit(struct gate *gate)
{
	u64 *alarm = bpf_ringbuf_reserve(&alarms, sizeof(*alarm), 0);

	gate->open = 0;
	if (!alarm)
		return;
	*alarm = gate->key;
	bpf_ringbuf_submit(alarm, BPF_RB_FORCE_WAKEUP);
}

static __always_inline void begin_timing(struct passage *passage, u64 cnt)
{
	passage->spent->timed = !(cnt & (GATE_TIMED - 1));
	passage->began = passage->spent->timed ? bpf_ktime_get_ns() : 0;
}

/* At an entry; false: it is not recorded. */
static __always_inline bool gate_pass(struct passage *passage, u32 tgid, u32 stream, bool stepped)
{
	struct gate_spent *spent;
	struct gate *gate;

	if (!find_gate(passage, tgid, stream))
		return false;
	gate = passage->gate;
	spent = passage->spent;
	spent->entries++;
	spent->stepped += stepped;
	__sync_fetch_and_add(&gate->hits, 1);
	if (!gate->signal)
		gate->signal = (u64)bpf_get_current_task_btf()->signal;
	if (!gate->open)
		return false;
	see_ticks(spent, gate->cell);
	if (gate->hits >= gate->limit)
		close_by_limit(gate);
	begin_timing(passage, spent->entries);
	return true;
}

/* … of a block's function. */
static __always_inline bool gate_enter(struct passage *passage, u64 pid_tgid, u64 cookie)
{
	if (is_budgeted)
		return gate_pass(passage, pid_tgid >> 32, CELL_BLOCKS, (cookie & COOKIE_STEPPED) != 0);
	*passage = (struct passage){0};
	return true;
}

/* At the return of a call whose entry was recorded: this is too, whatever has become of the gate. */
static __always_inline void gate_return(struct passage *passage, u64 pid_tgid)
{
	*passage = (struct passage){0};
	if (!is_budgeted || !find_gate(passage, pid_tgid >> 32, CELL_BLOCKS))
		return;
	passage->spent->returns++;
	begin_timing(passage, passage->spent->returns);
}

/* What has passed since, of all that it stands for. */
static __always_inline u64 gate_timed(u64 began)
{
	u64 ns = bpf_ktime_get_ns() - began;

	return ns > clock_reading_ns ? (ns - clock_reading_ns) * GATE_TIMED : 0;
}

static __always_inline void gate_leave(const struct passage *passage)
{
	if (passage->spent && passage->began)
		passage->spent->program_ns += gate_timed(passage->began);
}

#endif
