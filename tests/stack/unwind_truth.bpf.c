/*
 * At one instruction of the target: the stack by our own unwinder (bpf/frames.bpf.c, linked
 * in), and beside it the registers and a copy of the stack, from which libdwfl unwinds the
 * same moment.
 */
#include "frames.bpf.h"
#include "unwind_truth.h"

struct truth_map {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 << 20);
} truth_ring SEC(".maps");

const volatile __u32 every = 1; /* of so many hits one is looked at */

__u64 dropped;

static __always_inline void copy_registers(struct truth *t, struct pt_regs *ctx)
{
	t->registers[0] = context_word(ctx, ax);
	t->registers[1] = context_word(ctx, dx);
	t->registers[2] = context_word(ctx, cx);
	t->registers[3] = context_word(ctx, bx);
	t->registers[4] = context_word(ctx, si);
	t->registers[5] = context_word(ctx, di);
	t->registers[6] = context_word(ctx, bp);
	t->registers[7] = context_word(ctx, sp);
	t->registers[8] = context_word(ctx, r8);
	t->registers[9] = context_word(ctx, r9);
	t->registers[10] = context_word(ctx, r10);
	t->registers[11] = context_word(ctx, r11);
	t->registers[12] = context_word(ctx, r12);
	t->registers[13] = context_word(ctx, r13);
	t->registers[14] = context_word(ctx, r14);
	t->registers[15] = context_word(ctx, r15);
	t->registers[16] = context_word(ctx, ip);
}

SEC("uprobe/truth")
int truth(struct pt_regs *ctx)
{
	u64 pid_tgid = bpf_get_current_pid_tgid(), sp = context_word(ctx, sp);
	const struct unwind_space *space = unwind_space_of(pid_tgid);
	struct scratch *s;
	struct truth *t;

	if (!space || (every > 1 && bpf_get_prandom_u32() % every))
		return 0;
	s = scratch_take();
	if (!s)
		return 0;
	t = bpf_ringbuf_reserve(&truth_ring, sizeof(*t), 0);
	if (!t) {
		dropped++;
		goto give;
	}
	t->tid = (u32)pid_tgid;
	copy_registers(t, ctx);
	unwind_from(&s->at, ctx, false, false);
	unwind(s, space, pid_tgid);
	if (s->rec.end == UNWIND_AGAIN) {
		unwind_from(&s->at, ctx, false, true);
		unwind(s, space, pid_tgid);
	}
	t->end = s->rec.end;
	t->cnt = s->rec.cnt;
	bpf_probe_read_kernel(t->frames, sizeof(t->frames), s->rec.frames);
	t->stack_size = 0;
	for (u32 at = 0; at < TRUTH_STACK; at += 512) {
		if (bpf_probe_read_user(&t->stack[at], 512, (void *)(sp + at)))
			break;
		t->stack_size = at + 512;
	}
	bpf_ringbuf_submit(t, 0);
give:
	scratch_give(s);
	return 0;
}
