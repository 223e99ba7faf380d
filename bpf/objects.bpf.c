/*
 * Python objects of up to 512 bytes: births and deaths at the places in CPython's object allocator where
 * blocks leave their pools and come back (user/probe/pool_code.h). There are millions a second: births are
 * sampled here, and of deaths only those of sampled ones leave a record.
 */
#include "calls.bpf.h"
#include "counted_stack.bpf.h"
#include "distance.bpf.h"

/* Objects/obmalloc.c, Include/internal/pycore_obmalloc.h: struct pool_header. */
#define POOL_FREEBLOCK 8
#define POOL_HEADER 48
#define POOL_MIN 4096 /* up to 3.9; pools are aligned to their size */
#define POOL_MAX 16384
#define POOL_CLASSES 32

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

static __always_inline bool is_sampled(const struct passage *passage, u64 size)
{
	struct gate_spent *spent = passage->spent;
	u64 mean = passage->gate->sample_bytes;

	return !mean || is_reached(&spent->allocs, size, mean);
}

/* A block is given back; unseen: another one is there already. */
static __always_inline void record_death(u64 pid_tgid, u32 func, u64 block, u64 size)
{
	u64 key = known_key(block, pid_tgid);

	if (bpf_map_lookup_elem(&objects_known, &key) &&
	    submit_object(EVENT_FREE, pid_tgid, func, block, size, 0))
		bpf_map_delete_elem(&objects_known, &key);
}

static __always_inline void record_birth(struct pt_regs *ctx, struct passage *passage, u64 pid_tgid,
					 u32 func, u64 block, u64 size)
{
	u64 key = known_key(block, pid_tgid), stack;

	record_death(pid_tgid, func, block, 0);
	if (!is_sampled(passage, size))
		return;
	stack = counted_stack(ctx, passage, pid_tgid, STACK_INSIDE);
	if (bpf_map_update_elem(&objects_known, &key, &size, BPF_ANY))
		count_loss(LOSS_PENDING_FULL);
	else if (!submit_object(EVENT_ALLOC, pid_tgid, func, block, size, stack))
		bpf_map_delete_elem(&objects_known, &key);
}

/* What passes at a place: a block of a pool. */
struct object {
	u64 block, size; /* size 0: it is none */
	bool given;
};

static __always_inline struct object read_object(struct pt_regs *ctx, u64 cookie)
{
	u32 act = cookie >> COOKIE_POOL_ACT_SHIFT & 3, wanted;
	u64 pool = read_register(ctx, cookie >> COOKIE_POOL_SHIFT & 15);
	struct object object = {
		.block = read_register(ctx, cookie >> COOKIE_POOL_BLOCK_SHIFT & 15),
		.given = act == POOL_GIVE,
	};
	struct pool_part part = {.szidx = POOL_CLASSES};

	bpf_probe_read_user(&part, sizeof(part), (void *)(pool + POOL_FREEBLOCK));
	if (act == POOL_BEGIN || act == POOL_CARVE) {
		wanted = (u32)object.block;
		object.block =
			act == POOL_BEGIN && part.szidx == wanted ? part.freeblock : pool + POOL_HEADER;
		part.szidx = wanted;
	} else if (act == POOL_GIVE) {
		object.block = part.freeblock;
	} else if ((cookie >> COOKIE_POOL_BLOCK_SHIFT & 15) == ARG_NONE) {
		object.block = user_word(
			(cookie & COOKIE_POOL_BY_BP ? context_word(ctx, bp) : context_word(ctx, sp)) +
			(cookie >> COOKIE_POOL_STACK_SHIFT & 0x7fff) - POOL_STACK_MAX);
	}
	object.size = (part.szidx + 1) * 16;
	if (part.szidx >= POOL_CLASSES || !is_block(pool, object.block, object.size))
		object.size = 0;
	return object;
}

static __always_inline void record_object(struct pt_regs *ctx, struct passage *passage, u64 pid_tgid,
					  u64 cookie)
{
	struct object object = read_object(ctx, cookie);
	struct gate_spent *spent = passage->spent;
	u32 func = COOKIE_POOL_FUNC(cookie);

	if (!object.size) {
		spent->odd++;
	} else if (object.given) {
		spent->given++;
		spent->given_bytes += object.size;
		record_death(pid_tgid, func, object.block, object.size);
	} else {
		spent->taken++;
		spent->taken_bytes += object.size;
		record_birth(ctx, passage, pid_tgid, func, object.block, object.size);
	}
}

SEC("uprobe/object")
int object_pass(struct pt_regs *ctx)
{
	u64 pid_tgid = bpf_get_current_pid_tgid(), cookie = bpf_get_attach_cookie(ctx);
	struct passage passage;
	bool open = gate_pass(&passage, pid_tgid >> 32, CELL_OBJECTS, false);

	if (passage.spent)
		object_place_hits[cookie >> COOKIE_POOL_PLACE_SHIFT & (POOL_PLACES_MAX - 1)]++;
	if (!open)
		return 0;
	record_object(ctx, &passage, pid_tgid, cookie);
	gate_leave(&passage);
	return 0;
}
