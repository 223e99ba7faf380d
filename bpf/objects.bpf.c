/*
 * Python objects of up to 512 bytes: births and deaths at the places in CPython's object allocator where
 * blocks leave their pools and come back (user/probe/pool_code.h). There are millions a second: births are
 * sampled here, and of deaths only those of sampled ones leave a record.
 */
#include "calls.bpf.h"
#include "distance.bpf.h"
#include "frames.bpf.h"

/* Objects/obmalloc.c, Include/internal/pycore_obmalloc.h: struct pool_header. */
#define POOL_FREEBLOCK 8
#define POOL_HEADER 48
#define POOL_MIN 4096 /* up to 3.9; pools are aligned to their size */
#define POOL_MAX 16384
#define POOL_CLASSES 32

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, u32); /* tgid */
	__type(value, struct object_gate);
	__uint(max_entries, TRACED_MAX);
} object_gates SEC(".maps");

struct pool_part { /* of a pool's header, from POOL_FREEBLOCK on */
	u64 freeblock;
	u64 nextpool, prevpool;
	u32 arenaindex, szidx;
};

/* Sampled blocks that are not known to be dead. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, u64); /* address and process */
	__type(value, u64);
	__uint(max_entries, OBJECTS_KNOWN_MAX);
} objects_known SEC(".maps");

/* Hits of each place, of all processes. */
__u64 object_place_hits[POOL_PLACES_MAX];

static __always_inline u64 known_key(u64 block, u64 pid_tgid)
{
	return block >> 4 | pid_tgid >> 32 << 43; /* 16-byte aligned, in 47 bits */
}

/* Where the registers are what they are taken for, a block of the pool. */
static __always_inline bool is_block(u64 pool, u64 block, u32 size)
{
	u64 offset = block - pool - POOL_HEADER;

	return !(pool & (POOL_MIN - 1)) && offset < POOL_MAX && !(offset % size);
}

static __always_inline bool submit_object(u32 kind, u64 pid_tgid, u32 func, u64 addr, u64 size, u64 stack)
{
	struct event_block *rec = ring_reserve(struct event_block);

	if (!rec)
		return false;
	fill_head(&rec->head, kind, pid_tgid, func, bpf_ktime_get_ns());
	rec->addr = addr;
	rec->size = size;
	rec->stack = stack;
	ring_submit(rec, false);
	return true;
}

static __always_inline bool is_sampled(struct object_gate *gate, u64 size)
{
	s64 left = gate->left;
	bool sampled = !gate->sample_bytes || is_reached(&left, size, gate->sample_bytes);

	gate->left = left;
	return sampled;
}

/* A block is given back; unseen: another one is there already. */
static __always_inline void record_death(u64 pid_tgid, u32 func, u64 block, u64 size)
{
	u64 key = known_key(block, pid_tgid);

	if (bpf_map_lookup_elem(&objects_known, &key) &&
	    submit_object(EVENT_FREE, pid_tgid, func, block, size, 0))
		bpf_map_delete_elem(&objects_known, &key);
}

static __always_inline void record_birth(struct pt_regs *ctx, struct object_gate *gate, u64 pid_tgid,
					 u32 func, u64 block, u64 size)
{
	u64 key = known_key(block, pid_tgid), stack;

	record_death(pid_tgid, func, block, 0);
	if (!is_sampled(gate, size))
		return;
	gate->sampled++;
	stack = take_stack(ctx, pid_tgid, STACK_INSIDE);
	if (bpf_map_update_elem(&objects_known, &key, &size, BPF_ANY))
		count_loss(LOSS_PENDING_FULL);
	else if (!submit_object(EVENT_ALLOC, pid_tgid, func, block, size, stack))
		bpf_map_delete_elem(&objects_known, &key);
}

SEC("uprobe/object")
int object_pass(struct pt_regs *ctx)
{
	u64 pid_tgid = bpf_get_current_pid_tgid(), cookie, pool, block, size;
	struct pool_part part = {.szidx = POOL_CLASSES};
	u32 tgid = pid_tgid >> 32, act, wanted, func;
	struct object_gate *gate = bpf_map_lookup_elem(&object_gates, &tgid);

	if (!gate)
		return 0;
	gate->hits++;
	cookie = bpf_get_attach_cookie(ctx);
	object_place_hits[cookie >> COOKIE_POOL_PLACE_SHIFT & (POOL_PLACES_MAX - 1)]++;
	if (!gate->open)
		return 0;
	if (gate->quota-- <= 0) {
		gate->open = 0;
		gate->cut = 1;
		return 0;
	}
	func = COOKIE_POOL_FUNC(cookie);
	act = cookie >> COOKIE_POOL_ACT_SHIFT & 3;
	pool = read_register(ctx, cookie >> COOKIE_POOL_SHIFT & 15);
	block = read_register(ctx, cookie >> COOKIE_POOL_BLOCK_SHIFT & 15);
	bpf_probe_read_user(&part, sizeof(part), (void *)(pool + POOL_FREEBLOCK));
	if (act == POOL_BEGIN || act == POOL_CARVE) {
		wanted = (u32)block;
		block = act == POOL_BEGIN && part.szidx == wanted ? part.freeblock : pool + POOL_HEADER;
		part.szidx = wanted;
	} else if (act == POOL_GIVE) {
		block = part.freeblock;
	} else if ((cookie >> COOKIE_POOL_BLOCK_SHIFT & 15) == ARG_NONE) {
		block = user_word(
			(cookie & COOKIE_POOL_BY_BP ? context_word(ctx, bp) : context_word(ctx, sp)) +
			(cookie >> COOKIE_POOL_STACK_SHIFT & 0x7fff) - POOL_STACK_MAX);
	}
	size = (part.szidx + 1) * 16;
	if (part.szidx >= POOL_CLASSES || !is_block(pool, block, size)) {
		gate->odd++;
		return 0;
	}
	if (act == POOL_GIVE) {
		gate->given++;
		gate->given_bytes += size;
		record_death(pid_tgid, func, block, size);
		return 0;
	}
	gate->taken++;
	gate->taken_bytes += size;
	record_birth(ctx, gate, pid_tgid, func, block, size);
	return 0;
}

/* What the next run of object_cell is about; the loader lets nobody else write meanwhile. */
struct event_cell object_cell_now;
struct object_gate object_gate_then; /* open, quota, sample_bytes */

/* Opens or closes a process's gate, and says so in the ring: nothing is recorded before or behind that. Run
 * by the loader. */
SEC("raw_tp")
int object_cell(void *ctx)
{
	u32 tgid = object_cell_now.head.tgid;
	struct object_gate *gate = bpf_map_lookup_elem(&object_gates, &tgid);
	struct event_cell *rec;

	(void)ctx;
	if (!gate)
		return 0;
	if (!object_gate_then.open)
		gate->open = 0;
	rec = ring_reserve(struct event_cell);
	if (!rec)
		return 0;
	__builtin_memcpy(rec, &object_cell_now, sizeof(*rec));
	rec->head.time = bpf_ktime_get_ns();
	ring_submit(rec, false);
	gate->cut = 0;
	gate->quota = object_gate_then.quota;
	gate->sample_bytes = object_gate_then.sample_bytes;
	gate->open = object_gate_then.open;
	return 0;
}
