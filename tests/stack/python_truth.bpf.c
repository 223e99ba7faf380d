/* At malloc of large blocks: the Python frames by bpf/python.bpf.c, linked in, without a native unwinder. */
#include "python.bpf.h"
#include "python_truth.h"

#define SLOTS 8

struct slot {
	u64 busy;
	struct python_walk walk;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, u32);
	__type(value, struct slot);
	__uint(max_entries, SLOTS);
} slots SEC(".maps");

const volatile __u64 size_above = 0;

__u64 dropped;

static __always_inline struct slot *slot_take(void)
{
	for (u32 i = 0; i < SLOTS; i++) {
		u32 key = i;
		struct slot *s = bpf_map_lookup_elem(&slots, &key);

		if (s && !__sync_lock_test_and_set(&s->busy, 1))
			return s;
	}
	return NULL;
}

SEC("uprobe")
int truth(struct pt_regs *ctx)
{
	struct slot *s;
	struct truth *t;

	if (ctx->di <= size_above)
		return 0;
	s = slot_take();
	if (!s) {
		dropped++;
		return 0;
	}
	s->walk.sp_cnt = 0;
	python_walk(&s->walk);
	t = bpf_ringbuf_reserve(&ring, sizeof(*t), 0);
	if (t) {
		t->kind = TRUTH_KIND;
		t->tid = (u32)bpf_get_current_pid_tgid();
		t->size = ctx->di;
		t->cnt = s->walk.cnt;
		t->end = s->walk.end;
		bpf_probe_read_kernel(t->frames, sizeof(t->frames), s->walk.frames);
		bpf_ringbuf_submit(t, 0);
	} else {
		dropped++;
	}
	__sync_lock_test_and_set(&s->busy, 0);
	return 0;
}

/* The walk alone: what it costs. */
SEC("uprobe")
int cost(struct pt_regs *ctx)
{
	struct slot *s;

	if (ctx->di <= size_above)
		return 0;
	s = slot_take();
	if (!s)
		return 0;
	s->walk.sp_cnt = 0;
	python_walk(&s->walk);
	__sync_lock_test_and_set(&s->busy, 0);
	return 0;
}
