/*
 * Allocation and free: an allocation is recorded at its return, a free at its entry, so that
 * nobody can be seen to get a block before the free that made it possible. The hot path of
 * the whole program: in the common case two reads tell that a call is not nested, and with
 * sessions nothing is kept in a map between a call's begin and end.
 */
#include "calls.bpf.h"
#include "counted_stack.bpf.h"
#include "recent.bpf.h"
#include "sampling.bpf.h"

/* What a session keeps between begin and end, its cookie: what it is, and the size asked for. */
#define KEPT_SIZE_BITS 48
#define KEPT_SIZE_MAX ((1ULL << KEPT_SIZE_BITS) - 1)
#define KEPT_ALLOC 0xa10cULL
#define KEPT_REALLOC 0xa10dULL
#define KEPT_OUT 0xa10eULL
/*
 * A session keeps the function's number too: asking for it again would cost as much as all
 * else there. What has no room is pending, and the session keeps KEPT_OUT.
 */
#define KEPT_FUNC_SHIFT 36
#define KEPT_FUNC_MAX 0xfffULL
#define KEPT_FUNC_SIZE_MAX ((1ULL << KEPT_FUNC_SHIFT) - 1)

/* Where no session keeps it, and for functions that return the block through a pointer. */
struct pending {
	u64 sp; /* where the return address is */
	u64 caller;
	u64 kept;
	u64 out; /* where the block will be stored */
	u32 func, pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, u64); /* pid_tgid: a thread is in one call at a time, the outermost */
	__type(value, struct pending);
	__uint(max_entries, CALLS_MAX);
} pending SEC(".maps");

/* Set by the loader. */
const volatile bool keeps_in_session = false; /* sessions, and the kernel has bpf_session_cookie */
const volatile __u64 size_min = 0, size_max = ~0ULL;

bool keeps_pending; /* a call has been kept in the map: its callees must look there */

/* Hits that leave no record: they cost the target all the same. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, u32);
	__type(value, struct silent_hits);
	__uint(max_entries, 1);
} silent SEC(".maps");

const volatile __u64 tick_ns = 0; /* 0: not known */

__u64 tick_base, asked_at;

/* A kfunc, bound by the loader: with an argument from Linux 7.0 on, which is of no harm before. */
static u64 *(*const session_cookie)(struct pt_regs *ctx) = (void *)HELPER_SESSION_COOKIE;

static __always_inline struct silent_hits *silent_hits(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&silent, &zero);
}

static __always_inline void count_nested(void)
{
	struct silent_hits *hits = silent_hits();

	if (hits)
		hits->nested++;
}

static __always_inline void count_filtered(void)
{
	struct silent_hits *hits = silent_hits();

	if (hits)
		hits->filtered++;
}

/* An argument, by where the planner has found it at the probed instruction. */
static __always_inline u64 read_argument(struct pt_regs *ctx, u64 cookie, u32 shift)
{
	return read_register(ctx, cookie >> shift & 15);
}

/* What is asked for: a product too large for 48 bits fails in any case. */
static __always_inline u64 requested(struct pt_regs *ctx, u64 cookie)
{
	u64 size = read_argument(ctx, cookie, COOKIE_SIZE_SHIFT), cnt;

	if ((cookie >> COOKIE_COUNT_SHIFT & 15) != ARG_NONE) {
		cnt = read_argument(ctx, cookie, COOKIE_COUNT_SHIFT);
		if (cnt && size > KEPT_SIZE_MAX / cnt)
			return KEPT_SIZE_MAX;
		size *= cnt;
	}
	return size < KEPT_SIZE_MAX ? size : KEPT_SIZE_MAX;
}

static __always_inline bool is_kept(u64 kept)
{
	u64 what = kept >> KEPT_SIZE_BITS;

	return what >= KEPT_ALLOC && what <= KEPT_OUT;
}

#define SESSIONS_MAX 4096 /* tracers of one function: each process that is watched has its own */

struct consumers { /* those of the sessions that wait at a return, from the one at `at` on */
	u64 at, kept;
};

/* What a session keeps between its begin and its end. */
static long look_at_consumer(u64 i, void *arg)
{
	struct consumers *of = arg;
	u64 kept = 0, at = of->at + i * bpf_core_type_size(struct return_consumer);

	bpf_probe_read_kernel(&kept, sizeof(kept),
			      (void *)(at + bpf_core_field_offset(struct return_consumer, cookie)));
	of->kept = is_kept(kept);
	return of->kept;
}

/* Kernels that have sessions have bpf_loop. */
static __always_inline bool is_kept_among(u64 at, int cnt)
{
	struct consumers of = {.at = at};

	if (cnt > 0)
		bpf_loop(cnt < SESSIONS_MAX ? cnt : SESSIONS_MAX, look_at_consumer, &of, 0);
	return of.kept;
}

/*
 * Whether a session that waits at this return keeps a call of the family: ours or another
 * tracer's of this process. Those of other processes wait there too, and keep 0.
 */
static __always_inline bool is_kept_by_session(struct return_instance *ri)
{
	struct return_instance___array *old = (void *)ri;
	u64 kept = 0;

	if (bpf_core_field_exists(ri->consumer)) {
		bpf_core_read(&kept, sizeof(kept), &ri->consumer.cookie);
		return is_kept(kept) || is_kept_among((u64)BPF_CORE_READ(ri, extra_consumers),
						      BPF_CORE_READ(ri, cons_cnt) - 1);
	}
	if (bpf_core_field_exists(old->consumers))
		return is_kept_among((u64)ri +
					     bpf_core_field_offset(struct return_instance___array, consumers),
				     BPF_CORE_READ(old, consumers_cnt));
	return false;
}

/* A walk of a thread's return instances: by bpf_loop, of which the verifier looks at one step. */
struct enclosing {
	struct task_struct *task;
	struct return_instance *ri; /* the next that is looked at */
	u64 sp, found;
};

/* 1: there is no more to look at. */
static long look_at_instance(u64 i, void *arg)
{
	struct enclosing *of = arg;
	struct task_struct *task = of->task;
	struct return_instance *ri = of->ri;

	(void)i;
	if (!ri)
		return 1;
	of->found = ri->stack >= of->sp && is_kept_by_session(ri) &&
		    user_word(ri->stack) == BPF_CORE_READ(task, mm, uprobes_state.xol_area, vaddr);
	of->ri = ri->next;
	return of->found;
}

/*
 * Whether a call of the family encloses what begins at sp: a return instance of ours whose
 * stack slot still leads to the return probe. Behind sp there is only what has been left by
 * longjmp or throw; at sp itself stands who jumped here instead of calling.
 */
static __always_inline bool is_in_session(struct task_struct *task, u64 sp)
{
	/* Read without helpers: each costs as much as the rest of this. */
	struct uprobe_task *utask = task->utask;
	struct enclosing of;

	if (!utask || !utask->return_instances)
		return false;
	of = (struct enclosing){.task = task, .ri = utask->return_instances, .sp = sp};
	bpf_loop(RETURN_INSTANCES_MAX, look_at_instance, &of, 0);
	return of.found;
}

/* The same by the pending calls, where there are no sessions or none of this function. */
static __always_inline bool is_in_pending(u64 sp, u32 func)
{
	u64 pid_tgid = bpf_get_current_pid_tgid();
	const struct pending *outer = bpf_map_lookup_elem(&pending, &pid_tgid);

	if (!outer || outer->sp < sp)
		return false;
	if (uses_return_probes && return_waits_at(outer->sp))
		return true;
	return user_word(outer->sp) == outer->caller && (outer->sp > sp || outer->func != func);
}

static __always_inline bool is_nested(struct task_struct *task, u64 sp, u32 func)
{
	if (!(keeps_in_session && is_in_session(task, sp)) &&
	    !((keeps_pending || has_young()) && is_in_pending(sp, func)))
		return false;
	count_nested();
	return true;
}

/* The time to the tick: reading the clock would be a twentieth of all that a probe costs. */
static __always_inline u64 tick_time(void)
{
	if (!tick_ns)
		return bpf_ktime_get_ns();
	return tick_base + bpf_jiffies64() * tick_ns;
}

/* So that jiffies become CLOCK_MONOTONIC; run once by the loader. */
SEC("raw_tp")
int tick_init(void *ctx)
{
	(void)ctx;
	tick_base = bpf_ktime_get_ns() - bpf_jiffies64() * tick_ns;
	return 0;
}

/* Asking how much waits costs half as much as the record: once a tick is enough. */
static __always_inline u64 block_flags(u64 time)
{
	if (asked_at == time)
		return BPF_RB_NO_WAKEUP;
	asked_at = time;
	return ring_flags(false);
}

static __always_inline bool submit_block(u32 kind, u64 pid_tgid, u32 func, u64 addr, u64 size, u64 stack)
{
	u64 time = tick_time();
	struct event_block *rec = ring_reserve(struct event_block);

	if (!rec)
		return false;
	fill_head(&rec->head, kind, pid_tgid, func, time);
	rec->addr = addr;
	rec->size = size;
	rec->stack = stack;
	bpf_ringbuf_submit(rec, block_flags(time));
	return true;
}

/*
 * A block that is freed, or reallocated. That is sampled by its own size: by the new one's, perhaps
 * nothing, it would count for too much.
 */
static __always_inline bool record_leaving(struct pt_regs *ctx, struct passage *passage, u32 kind,
					   u64 pid_tgid, u64 cookie, u64 block)
{
	u64 size = 0, header = take_header(block, pid_tgid, cookie, &size), stack = 0;

	if (takes_stacks && (kind == EVENT_FREE || samples_stacks(passage)) &&
	    samples_free(passage, header, size))
		stack = counted_stack(ctx, passage, pid_tgid, STACK_AT_CALL);
	return submit_block(kind, pid_tgid, (u32)cookie, block, header, stack);
}

static __always_inline bool is_realloc(u64 cookie)
{
	return (cookie >> COOKIE_SHAPE_SHIFT & 0xff) == SHAPE_REALLOC;
}

/* What is kept of a realloc whose old block has left. */
static __always_inline u64 kept_of_realloc(struct pt_regs *ctx, u64 cookie)
{
	return KEPT_REALLOC << KEPT_SIZE_BITS | requested(ctx, cookie);
}

/* … of an allocation that begins; 0: its size is not asked for. */
static __always_inline u64 kept_of_alloc(struct pt_regs *ctx, u64 cookie)
{
	bool is_out = (cookie >> COOKIE_SHAPE_SHIFT & 0xff) == SHAPE_ALLOC_OUT;
	u64 size = requested(ctx, cookie);

	if (size < size_min || size > size_max) {
		count_filtered();
		return 0;
	}
	return (is_out ? KEPT_OUT : KEPT_ALLOC) << KEPT_SIZE_BITS | size;
}

/* What is kept of the call that begins here until its end; 0: its end is not to be seen. */
static __always_inline u64 begin(struct pt_regs *ctx, struct passage *passage, u64 cookie)
{
	u64 old = is_realloc(cookie) ? read_argument(ctx, cookie, COOKIE_PTR_SHIFT) : 0;

	if (is_nested(bpf_get_current_task_btf(), SP_AT_INSTRUCTION(ctx), (u32)cookie))
		return 0;
	if (!old)
		return kept_of_alloc(ctx, cookie);
	if (!record_leaving(ctx, passage, EVENT_REALLOC_BEGIN, bpf_get_current_pid_tgid(), cookie, old))
		return 0;
	return kept_of_realloc(ctx, cookie);
}

static __always_inline bool keep_pending(struct pt_regs *ctx, u64 pid_tgid, u64 cookie, u64 kept)
{
	struct pending call = {
		.sp = SP_AT_INSTRUCTION(ctx),
		.caller = user_word(SP_AT_INSTRUCTION(ctx)),
		.kept = kept,
		.out = read_argument(ctx, cookie, COOKIE_PTR_SHIFT),
		.func = (u32)cookie,
	};

	if (!bpf_map_update_elem(&pending, &pid_tgid, &call, BPF_ANY))
		return true;
	count_loss(LOSS_PENDING_FULL);
	return false;
}

static __always_inline void end(struct pt_regs *ctx, u64 pid_tgid, u32 func, u64 kept, u64 out,
				bool at_return)
{
	u32 kind = kept >> KEPT_SIZE_BITS == KEPT_REALLOC ? EVENT_REALLOC : EVENT_ALLOC;
	u64 block = ctx->ax, stack;
	struct passage passage;

	gate_return(&passage, pid_tgid);
	if (kept >> KEPT_SIZE_BITS == KEPT_OUT) {
		if ((u32)block) {
			block = 0;
		} else if (bpf_probe_read_user(&block, sizeof(block), (void *)out)) {
			count_loss(LOSS_UNREADABLE);
			return;
		}
	}
	stack = takes_stacks && samples_alloc(&passage, kept & KEPT_SIZE_MAX)
			? counted_stack(ctx, &passage, pid_tgid, at_return ? STACK_AT_RETURN : STACK_AT_CALL)
			: 0;
	if (submit_block(kind, pid_tgid, func, block, kept & KEPT_SIZE_MAX, stack) && block)
		remember(block, kept & KEPT_SIZE_MAX, pid_tgid);
	gate_leave(&passage);
}

/* Ends the pending call whose return address is at sp. */
static __always_inline void end_pending(struct pt_regs *ctx, u64 sp, bool at_return)
{
	u64 pid_tgid = bpf_get_current_pid_tgid();
	struct pending *call = bpf_map_lookup_elem(&pending, &pid_tgid);

	if (!call || call->sp != sp)
		return;
	end(ctx, pid_tgid, call->func, call->kept, call->out, at_return);
	bpf_map_delete_elem(&pending, &pid_tgid);
}

/* Of a young process: where its threads last came to a probe of its own, which leaves nothing to do for the
 * inherited one: that stands behind it in the kernel's list, newest first (uprobes.c, consumer_add). */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, u64); /* pid_tgid */
	__type(value, u64);
	__uint(max_entries, CALLS_MAX);
} claims SEC(".maps");

static __always_inline void claim(struct pt_regs *ctx)
{
	u64 pid_tgid, at = context_word(ctx, ip);
	const struct traced *process;

	if (!has_young())
		return;
	pid_tgid = bpf_get_current_pid_tgid();
	process = traced_process(pid_tgid);
	if (process && process->flags & TRACED_YOUNG)
		bpf_map_update_elem(&claims, &pid_tgid, &at, BPF_ANY);
}

/* True if the call's end is to be seen. */
static __always_inline bool malloc_begin(struct pt_regs *ctx)
{
	u64 pid_tgid = bpf_get_current_pid_tgid(), cookie = bpf_get_attach_cookie(ctx), kept;
	struct passage passage;
	bool ends;

	if (!traced_process(pid_tgid))
		return false;
	claim(ctx);
	if (!gate_enter(&passage, pid_tgid, cookie))
		return false;
	keeps_pending = true;
	kept = begin(ctx, &passage, cookie);
	ends = kept && keep_pending(ctx, pid_tgid, cookie, kept);
	gate_leave(&passage);
	return ends;
}

/* Entry of a function whose end is seen by another probe. */
SEC("uprobe/malloc")
int malloc_enter(struct pt_regs *ctx)
{
	malloc_begin(ctx);
	return 0;
}

SEC("uprobe/malloc")
int malloc_exit(struct pt_regs *ctx)
{
	end_pending(ctx, SP_AT_INSTRUCTION(ctx), false);
	return 0;
}

SEC("uretprobe/malloc")
int malloc_return(struct pt_regs *ctx)
{
	end_pending(ctx, SP_AT_RETURN(ctx), true);
	return 0;
}

static __always_inline int session_in_pending(struct pt_regs *ctx)
{
	if (!session_at_return(ctx))
		return !malloc_begin(ctx);
	end_pending(ctx, SP_AT_RETURN(ctx), true);
	return 0;
}

static __always_inline bool has_room(u64 kept, u32 func)
{
	return kept >> KEPT_SIZE_BITS != KEPT_OUT && func <= KEPT_FUNC_MAX &&
	       (kept & KEPT_SIZE_MAX) <= KEPT_FUNC_SIZE_MAX;
}

/* At the return of what a session keeps. */
static __always_inline void end_kept(struct pt_regs *ctx, u64 kept)
{
	u32 func = kept >> KEPT_FUNC_SHIFT & KEPT_FUNC_MAX;

	end(ctx, bpf_get_current_pid_tgid(), func, kept & ~(KEPT_FUNC_MAX << KEPT_FUNC_SHIFT), 0, true);
}

/* Returns 1 to do without the return. */
SEC("uprobe/malloc")
int malloc_session(struct pt_regs *ctx)
{
	u64 cookie, call, *kept;
	struct passage passage;

	if (!keeps_in_session)
		return session_in_pending(ctx);
	kept = session_cookie(ctx);
	if (*kept) { /* at the begin it is 0 (kernel/events/uprobes.c, handler_chain) */
		if (*kept >> KEPT_SIZE_BITS == KEPT_OUT)
			end_pending(ctx, SP_AT_RETURN(ctx), true);
		else
			end_kept(ctx, *kept);
		return 0;
	}
	claim(ctx);
	cookie = bpf_get_attach_cookie(ctx);
	if (!gate_enter(&passage, bpf_get_current_pid_tgid(), cookie))
		return 1;
	call = begin(ctx, &passage, cookie);
	gate_leave(&passage);
	if (!call)
		return 1;
	if (has_room(call, (u32)cookie)) {
		*kept = call | (u64)(u32)cookie << KEPT_FUNC_SHIFT;
		return 0;
	}
	*kept = KEPT_OUT << KEPT_SIZE_BITS;
	return !keep_pending(ctx, bpf_get_current_pid_tgid(), cookie, call);
}

/* pid_tgid without a helper: the task is needed in any case. */
static __always_inline u64 pid_tgid_of(const struct task_struct *task)
{
	return (u64)task->tgid << 32 | (u32)task->pid;
}

/* Whether the free of that block, which begins with the stack pointer at sp, is to be recorded. */
static __always_inline bool is_recorded(struct task_struct *task, u64 block, u64 sp, u64 cookie)
{
	return block && (keeps_in_session || traced_process(pid_tgid_of(task))) &&
	       !is_nested(task, sp, (u32)cookie);
}

/*
 * At an allocator's own call of free, before free_enter sees it: what it was passed before,
 * such as what a thread's cache holds when the thread ends.
 */
SEC("uprobe/free")
int free_own(struct pt_regs *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	u64 cookie = bpf_get_attach_cookie(ctx), block = context_word(ctx, di);
	struct passage passage;

	if (!gate_enter(&passage, pid_tgid_of(task), cookie))
		return 0;
	if (is_recorded(task, block, SP_AT_INSTRUCTION(ctx), cookie))
		submit_block(EVENT_FREE_OWN, pid_tgid_of(task), (u32)cookie, block, 0, 0);
	gate_leave(&passage);
	return 0;
}

SEC("uprobe/free")
int free_enter(struct pt_regs *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	u64 cookie = bpf_get_attach_cookie(ctx), block = read_argument(ctx, cookie, COOKIE_PTR_SHIFT);
	struct passage passage;

	claim(ctx);
	if (!gate_enter(&passage, pid_tgid_of(task), cookie))
		return 0;
	if (is_recorded(task, block, SP_AT_INSTRUCTION(ctx), cookie))
		record_leaving(ctx, &passage, EVENT_FREE, pid_tgid_of(task), cookie, block);
	gate_leave(&passage);
	return 0;
}

#include "early.bpf.h"
