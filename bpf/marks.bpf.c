/*
 * Calls of functions that the user has named as marks: one record each, with what was resident then. A
 * function that is called often must do no harm: beyond some a second its calls are only counted.
 */
#include "calls.bpf.h"
#include "rss.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, struct mark_key);
	__type(value, struct mark_rate);
	__uint(max_entries, MARK_RATES_MAX);
} mark_rates SEC(".maps");

#define SECOND_NS 1000000000ULL

/* Counts the call. Threads that come at once into a new second may get a few more: no harm. */
static __always_inline bool is_in_rate(u64 pid_tgid, u32 func, u64 now)
{
	struct mark_key key = {.tgid = pid_tgid >> 32, .func = func};
	struct mark_rate *rate = bpf_map_lookup_elem(&mark_rates, &key), none = {};

	if (!rate) {
		bpf_map_update_elem(&mark_rates, &key, &none, BPF_NOEXIST);
		rate = bpf_map_lookup_elem(&mark_rates, &key);
	}
	if (!rate)
		return true;
	__sync_fetch_and_add(&rate->all, 1);
	if (rate->second != now / SECOND_NS) {
		rate->second = now / SECOND_NS;
		rate->cnt = 0;
	}
	if (rate->cnt >= MARKS_PER_SECOND)
		return false;
	__sync_fetch_and_add(&rate->cnt, 1);
	return true;
}

SEC("uprobe/mark")
int mark_enter(struct pt_regs *ctx)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	u64 pid_tgid = bpf_get_current_pid_tgid(), now = bpf_ktime_get_ns(), rss;
	u32 func = (u32)bpf_get_attach_cookie(ctx);
	struct event_mark *rec;

	if (!traced_process(pid_tgid) || !is_in_rate(pid_tgid, func, now))
		return 0;
	rss = rss_bytes((u64)BPF_CORE_READ(task, mm));
	rec = ring_reserve(struct event_mark);
	if (!rec)
		return 0;
	fill_head(&rec->head, EVENT_MARK, pid_tgid, func, now);
	rec->rss = rss;
	ring_submit(rec, true); /* a reading is to follow it soon */
	return 0;
}
