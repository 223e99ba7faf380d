/*
 * What every family of probes needs: the ring, the losses, which processes are traced.
 * The maps belong to events.bpf.c.
 */
#ifndef ALLOCTRACE_EVENTS_BPF_H
#define ALLOCTRACE_EVENTS_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#include "event.h"
#include "share.h"

struct ring_map {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, RING_SIZE);
};
extern struct ring_map ring SEC(".maps");

struct losses_map {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, u32);
	__type(value, u64);
	__uint(max_entries, LOSS_CNT);
};
extern struct losses_map losses SEC(".maps");

struct traced_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, u32);
	__type(value, struct traced);
	__uint(max_entries, TRACED_MAX);
};
extern struct traced_map traced SEC(".maps");

/* Children that were traced at their fork; how many of them user space has done with, some time ago. */
extern volatile __u64 young_forked, young_settled;

/* Whether there may be one that is young still, or in a call that began when it was. */
static __always_inline bool has_young(void)
{
	return young_forked != young_settled;
}

static __always_inline void count_loss(enum loss cause)
{
	u32 key = cause;
	u64 *cnt = bpf_map_lookup_elem(&losses, &key);

	if (cnt)
		(*cnt)++;
}

static __always_inline struct traced *traced_process(u64 pid_tgid)
{
	u32 tgid = pid_tgid >> 32;

	return bpf_map_lookup_elem(&traced, &tgid);
}

static __always_inline void fill_head(struct event_head *head, u32 kind, u64 pid_tgid, u32 func, u64 time)
{
	head->kind = kind;
	head->tid = (u32)pid_tgid;
	head->tgid = pid_tgid >> 32;
	head->func = func;
	head->time = time;
}

/* NULL when the ring is full, which is counted. */
#define ring_reserve(type)                                                                                   \
	({                                                                                                   \
		type *rec_ = bpf_ringbuf_reserve(&ring, sizeof(type), 0);                                    \
		if (!rec_)                                                                                   \
			count_loss(LOSS_RING_FULL);                                                          \
		rec_;                                                                                        \
	})

/* Waking the reader costs more than a record: it is done by the batch, or for what cannot wait. */
static __always_inline u64 ring_flags(bool urgent)
{
	bool wake = urgent || bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) >= RING_WAKE;

	return wake ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
}

static __always_inline void ring_submit(void *rec, bool urgent)
{
	bpf_ringbuf_submit(rec, ring_flags(urgent));
}

#endif
