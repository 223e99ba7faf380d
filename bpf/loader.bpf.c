/*
 * The dynamic loader: dlopen, dlmopen, dlclose and its list of objects. dlopen reads its
 * return address (for the caller's RUNPATH) and constructors may throw through it: no return
 * probes here, but probes on the instructions that leave the function, matched by stack
 * pointer. Opens nest (a constructor may open another), and each is an event.
 */
#include "frames.bpf.h"
#include "frames.bpf.h"

/* The public head of <link.h>'s struct link_map, which a handle points to. */
#define LINK_MAP_NAME 8

struct open_key {
	u64 pid_tgid;
	u64 sp;
};

struct open_call {
	u64 caller, stack, time;
	u64 total_vm, brk;
	u32 func, shape;
	u32 loads, pad;
	u64 path;                  /* dlopen: where it is; read at the end, when the page is surely there */
	u64 handle;                /* dlclose: what is closed, */
	char name[EVENT_PATH_MAX]; /* and its name */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, struct open_key);
	__type(value, struct open_call);
	__uint(max_entries, 1024);
} opens SEC(".maps");

/* How often a thread has been seen changing the loader's list. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, u64);
	__type(value, u32);
	__uint(max_entries, 1024);
} loads SEC(".maps");

static const struct open_call no_call; /* too big for the stack */

static __always_inline u32 loads_of(u64 pid_tgid)
{
	u32 *cnt = bpf_map_lookup_elem(&loads, &pid_tgid);

	return cnt ? *cnt : 0;
}

/* The length without the NUL. */
static __always_inline u32 copy_text(char text[EVENT_PATH_MAX], u64 addr)
{
	long len = bpf_probe_read_user_str(text, EVENT_PATH_MAX, (void *)addr);

	if (len > 0)
		return len - 1;
	text[0] = '\0';
	count_loss(LOSS_UNREADABLE);
	return 0;
}

static __always_inline void copy_object_name(char text[EVENT_PATH_MAX], u64 handle)
{
	copy_text(text, user_word(handle + LINK_MAP_NAME));
}

/* A new entry for the call that begins at the probed instruction, or NULL. */
static __always_inline struct open_call *open_begin(struct pt_regs *ctx)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	u64 cookie = bpf_get_attach_cookie(ctx);
	struct open_key key = {.pid_tgid = bpf_get_current_pid_tgid(), .sp = SP_AT_INSTRUCTION(ctx)};
	struct open_call *call;

	if (!traced_process(key.pid_tgid))
		return NULL;
	bpf_map_update_elem(&opens, &key, &no_call, BPF_ANY);
	call = bpf_map_lookup_elem(&opens, &key);
	if (!call) {
		count_loss(LOSS_PENDING_FULL);
		return NULL;
	}
	call->caller = user_word(key.sp);
	call->stack = takes_stacks ? take_stack(ctx, key.pid_tgid, STACK_AT_CALL) : 0;
	call->func = (u32)cookie;
	call->shape = cookie >> COOKIE_SHAPE_SHIFT & 0xff;
	call->total_vm = BPF_CORE_READ(task, mm, total_vm);
	call->brk = BPF_CORE_READ(task, mm, brk);
	call->loads = loads_of(key.pid_tgid);
	call->time = bpf_ktime_get_ns();
	return call;
}

SEC("uprobe/loader")
int dlopen_enter(struct pt_regs *ctx)
{
	struct open_call *call = open_begin(ctx);
	u64 path = ctx->di, second = ctx->si;

	if (!call)
		return 0;
	barrier_var(path); /* both loads stay: the verifier wants fixed offsets into the context */
	barrier_var(second);
	call->path = call->shape == SHAPE_DLMOPEN ? second : path;
	return 0;
}

/* The object may be gone when it returns: its name is read now. */
SEC("uprobe/loader")
int dlclose_enter(struct pt_regs *ctx)
{
	struct open_call *call = open_begin(ctx);

	if (!call)
		return 0;
	call->handle = ctx->di;
	if (ctx->di)
		copy_object_name(call->name, ctx->di);
	return 0;
}

static __always_inline s64 pages_grown(struct task_struct *task, const struct open_call *call)
{
	return (s64)BPF_CORE_READ(task, mm, total_vm) - (s64)call->total_vm;
}

static __always_inline void report_open(struct pt_regs *ctx, u64 pid_tgid, const struct open_call *call,
					const struct traced *process, u64 now)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct event_dlopen *rec = ring_reserve(struct event_dlopen);

	if (!rec)
		return;
	fill_head(&rec->head, EVENT_DLOPEN, pid_tgid, call->func, call->time);
	rec->caller = call->caller;
	rec->stack = call->stack;
	rec->handle = ctx->ax;
	rec->duration = now - call->time;
	rec->maps_grown = pages_grown(task, call) * 4096;
	rec->heap_grown = (s64)BPF_CORE_READ(task, mm, brk) - (s64)call->brk;
	/*
	 * Twice for a new object (RT_ADD, RT_CONSISTENT); once where one that is mapped already, as a
	 * dependency, is opened by its own name for the first time (glibc 2.36 elf/dl-open.c).
	 */
	rec->new_mapping = process->sees_loads ? loads_of(pid_tgid) - call->loads > 1 : rec->maps_grown > 0;
	rec->path_len = 0;
	rec->path[0] = rec->name[0] = '\0';
	if (call->path) /* NULL opens the main program, whose name is "" */
		rec->path_len = copy_text(rec->path, call->path);
	if (rec->handle && call->path)
		copy_object_name(rec->name, rec->handle);
	ring_submit(rec, false);
}

static __always_inline void report_close(u64 pid_tgid, const struct open_call *call, u64 now)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct event_dlclose *rec = ring_reserve(struct event_dlclose);

	if (!rec)
		return;
	fill_head(&rec->head, EVENT_DLCLOSE, pid_tgid, call->func, call->time);
	rec->caller = call->caller;
	rec->stack = call->stack;
	rec->handle = call->handle;
	rec->duration = now - call->time;
	rec->maps_grown = pages_grown(task, call) * 4096;
	__builtin_memcpy(rec->name, call->name, sizeof(rec->name));
	ring_submit(rec, false);
}

/* A ret, or a jump out: of these functions, or of code that they end in and others share. */
SEC("uprobe/loader")
int loader_exit(struct pt_regs *ctx)
{
	u64 now = bpf_ktime_get_ns();
	struct open_key key = {.pid_tgid = bpf_get_current_pid_tgid(), .sp = SP_AT_INSTRUCTION(ctx)};
	struct traced *process = traced_process(key.pid_tgid);
	struct open_call *call = process ? bpf_map_lookup_elem(&opens, &key) : NULL;

	if (!call)
		return 0;
	if (call->shape == SHAPE_DLCLOSE)
		report_close(key.pid_tgid, call, now);
	else
		report_open(ctx, key.pid_tgid, call, process, now);
	bpf_map_delete_elem(&opens, &key);
	return 0;
}

/* _dl_debug_state: the loader calls it before and after it changes its list. */
SEC("uprobe/loader")
int loader_changed(struct pt_regs *ctx)
{
	u64 pid_tgid = bpf_get_current_pid_tgid();
	u32 *cnt, one = 1;
	struct event_head *rec;

	if (!traced_process(pid_tgid))
		return 0;
	cnt = bpf_map_lookup_elem(&loads, &pid_tgid);
	if (cnt)
		(*cnt)++;
	else
		bpf_map_update_elem(&loads, &pid_tgid, &one, BPF_ANY);
	rec = ring_reserve(struct event_head);
	if (!rec)
		return 0;
	fill_head(rec, EVENT_LOADED, pid_tgid, (u32)bpf_get_attach_cookie(ctx), bpf_ktime_get_ns());
	ring_submit(rec, true);
	return 0;
}

/* Does nothing: a link with it is opened and closed to clear forked children of breakpoints. */
SEC("uprobe/loader")
int sweep(__attribute__((unused)) struct pt_regs *ctx)
{
	return 0;
}
