/*
 * CPython's garbage collector: its own SDT probes, gc__start (generation) and gc__done (objects), which the
 * interpreter reaches only while they are attached. One record a run, at its end.
 */
#include "calls.bpf.h"

struct run {
	u64 time;
	s32 generation;
	u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, u64); /* pid_tgid: an interpreter does not collect while it collects */
	__type(value, struct run);
	__uint(max_entries, 1024);
} runs SEC(".maps");

/* The probe's one argument, from where its note says; false: it could not be read. */
static __always_inline bool read_place(struct pt_regs *ctx, s64 *value)
{
	u64 place = bpf_get_attach_cookie(ctx);
	u64 word = read_register(ctx, place >> COOKIE_PLACE_REGISTER_SHIFT & 31);
	u32 unused_bits = 64 - (8 << (place >> COOKIE_PLACE_SIZE_SHIFT & 3));

	word += (short)(place >> COOKIE_PLACE_OFFSET_SHIFT);
	if (place & COOKIE_PLACE_IN_MEMORY && bpf_probe_read_user(&word, sizeof(word), (void *)word)) {
		count_loss(LOSS_UNREADABLE);
		return false;
	}
	word <<= unused_bits;
	*value = place & COOKIE_PLACE_SIGNED ? (s64)word >> unused_bits : (s64)(word >> unused_bits);
	return true;
}

SEC("uprobe/gc")
int gc_start(struct pt_regs *ctx)
{
	u64 pid_tgid = bpf_get_current_pid_tgid();
	struct run run = {.time = bpf_ktime_get_ns()};
	s64 generation;

	if (!traced_process(pid_tgid))
		return 0;
	if (bpf_map_lookup_elem(&runs, &pid_tgid))
		count_loss(LOSS_NO_RETURN);
	if (!read_place(ctx, &generation))
		return 0;
	run.generation = generation;
	if (bpf_map_update_elem(&runs, &pid_tgid, &run, BPF_ANY))
		count_loss(LOSS_PENDING_FULL);
	return 0;
}

SEC("uprobe/gc")
int gc_done(struct pt_regs *ctx)
{
	u64 pid_tgid = bpf_get_current_pid_tgid(), now = bpf_ktime_get_ns();
	struct run *run = traced_process(pid_tgid) ? bpf_map_lookup_elem(&runs, &pid_tgid) : NULL;
	struct event_collection *rec;
	s64 collected;

	if (!run) /* it began before the attach */
		return 0;
	rec = read_place(ctx, &collected) ? ring_reserve(struct event_collection) : NULL;
	if (rec) {
		fill_head(&rec->head, EVENT_COLLECTION, pid_tgid, 0, run->time);
		rec->duration = now - run->time;
		rec->collected = collected;
		rec->generation = run->generation;
		rec->pad = 0;
		ring_submit(rec, false);
	}
	bpf_map_delete_elem(&runs, &pid_tgid);
	return 0;
}
