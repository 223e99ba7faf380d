/*
 * Call stacks, each submitted once: a stack is known by a hash of its return addresses, and
 * its record is in the ring before the first record that names it.
 */
#ifndef ALLOCTRACE_FRAMES_BPF_H
#define ALLOCTRACE_FRAMES_BPF_H

#include "events.bpf.h"
#include "mix.bpf.h"

#define STACKS_SEEN_MAX 65536
#define SCRATCH_CNT 4 /* threads of one CPU that may be interrupted while they take a stack */

struct scratch {
	u64 busy;
	u64 raw[EVENT_FRAMES_MAX + 1];
	struct event_stack rec;
};

struct scratch_cpu {
	struct scratch v[SCRATCH_CNT];
};

struct scratches_map {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, u32);
	__type(value, struct scratch_cpu);
	__uint(max_entries, 1);
};
extern struct scratches_map scratches SEC(".maps");

struct seen_map {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, u64);
	__type(value, u8);
	__uint(max_entries, STACKS_SEEN_MAX);
};
extern struct seen_map stacks_seen SEC(".maps");

/* A kernel with preemption may run another thread of this CPU meanwhile: each takes a scratch of its own. */
static __always_inline struct scratch *scratch_take(void)
{
	u32 zero = 0;
	struct scratch_cpu *cpu = bpf_map_lookup_elem(&scratches, &zero);

	if (!cpu)
		return NULL;
#pragma unroll
	for (int i = 0; i < SCRATCH_CNT; i++)
		if (!__sync_lock_test_and_set(&cpu->v[i].busy, 1))
			return &cpu->v[i];
	return NULL;
}

static __always_inline void scratch_give(struct scratch *s)
{
	__sync_lock_test_and_set(&s->busy, 0);
}

/* Frames innermost first from raw[skip] on; never 0. */
static __always_inline u64 hash_frames(const struct scratch *s, u32 skip, u32 cnt)
{
	u64 hash = cnt;

	for (u32 i = 0; i < EVENT_FRAMES_MAX && i < cnt; i++)
		hash = mix(hash, s->raw[(i + skip) & 127]);
	return hash ? hash : 1;
}

static __always_inline bool submit_stack(struct scratch *s, u64 pid_tgid, u64 id, u32 skip, u32 cnt, u32 room)
{
	struct event_stack *rec = &s->rec;
	u32 bytes = cnt * sizeof(u64);

	fill_head(&rec->head, EVENT_STACK, pid_tgid, 0, 0);
	rec->id = id;
	rec->cnt = cnt;
	rec->truncated = cnt == room;
	if (bytes > sizeof(rec->frames))
		return false;
	bpf_probe_read_kernel(rec->frames, bytes, &s->raw[skip & 1]);
	bytes += offsetof(struct event_stack, frames);
	if (bytes > sizeof(*rec))
		return false;
	return !bpf_ringbuf_output(&ring, rec, bytes, ring_flags(false));
}

/*
 * The id of the stack that leads into an allocation function, by frame pointers; 0: none could
 * be had. caller: the return address where the probe is at the function's entry or exit, 0 at
 * its return, where the caller is the innermost frame by itself. At an entry some kernels
 * put the caller behind the probed function, others leave it out.
 */
static __always_inline u64 take_stack(struct pt_regs *ctx, u64 pid_tgid, u64 caller)
{
	struct scratch *s = scratch_take();
	u32 skip = 0, room = EVENT_FRAMES_MAX, cnt;
	u64 id = 0;
	u8 one = 1;
	long got;

	if (!s)
		goto lost;
	got = bpf_get_stack(ctx, s->raw, EVENT_FRAMES_MAX * sizeof(u64), BPF_F_USER_STACK);
	if (got < (long)sizeof(u64))
		goto give;
	cnt = (u32)got / sizeof(u64);
	if (caller && cnt > 1 && s->raw[1] == caller) {
		skip = 1;
		cnt--;
		room--;
	} else if (caller) {
		s->raw[0] = caller;
	}
	id = hash_frames(s, skip, cnt);
	if (!bpf_map_lookup_elem(&stacks_seen, &id)) {
		if (submit_stack(s, pid_tgid, id, skip, cnt, room))
			bpf_map_update_elem(&stacks_seen, &id, &one, BPF_ANY);
		else
			id = 0;
	}
give:
	scratch_give(s);
lost:
	if (!id)
		count_loss(LOSS_STACK);
	return id;
}

#endif
