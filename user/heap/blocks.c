#include "heap/blocks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

/*
 * Open addressing with linear probing and no tombstones. The home of a block is its hash's
 * place in the table (hash × capacity / 2^64), so both tables of a migration are in the order
 * of hashes, up to displacement: what has been moved is a range of hashes, a look-up has one
 * place to go, and memory behind the boundary can be given back.
 */
#define CAP_MIN 1024
#define SPARE 16384 /* slots behind the last home, for displaced blocks: hardly ever touched */
#define GIVE_BACK (64UL << 10)
#define STEP_SLOTS 24 /* of the old table moved at each change */

#define LOAD_MAX(cap) ((cap) / 100 * 85)
#define LOAD_MIN(cap) ((cap) / 100 * 52)
#define GROWN(cap) ((cap) / 10 * 14)
#define SHRUNK(cap) ((cap) / 10 * 7)

struct table {
	struct block *slots; /* cap + SPARE; NULL: there is none */
	uint64_t cap;
};

struct blocks {
	struct table now, old; /* old: what is not yet in now, from slot `moved` on */
	uint64_t moved;        /* slots of old; slot moved − 1 was free when it was passed */
	uint64_t given_back;   /* bytes of old */
	uint64_t cnt;
	uint64_t seed;
	uint64_t max_bytes;
};

_Static_assert(sizeof(struct block) == 24, "a block's entry is what the bound of memory rests on");

static size_t table_bytes(uint64_t cap)
{
	return (size_t)(cap + SPARE) * sizeof(struct block);
}

static int table_map(struct table *t, uint64_t cap)
{
	void *slots = mmap(NULL, table_bytes(cap), PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (slots == MAP_FAILED)
		return -ENOMEM;
	*t = (struct table){.slots = slots, .cap = cap};
	return 0;
}

static void table_unmap(struct table *t)
{
	if (t->slots)
		munmap(t->slots, table_bytes(t->cap));
	*t = (struct table){.slots = NULL};
}

/* MurmurHash3's finalizer, seeded: addresses that a program chooses do not pile up. */
static uint64_t hash_of(const struct blocks *b, uint64_t addr)
{
	uint64_t h = addr ^ b->seed;

	h ^= h >> 33;
	h *= 0xff51afd7ed558ccdULL;
	h ^= h >> 33;
	h *= 0xc4ceb9fe1a85ec53ULL;
	return h ^ h >> 33;
}

static uint64_t home(const struct table *t, uint64_t hash)
{
	return (uint64_t)((unsigned __int128)hash * t->cap >> 64);
}

/* The least hash whose home is that slot. */
static uint64_t hash_from(const struct table *t, uint64_t slot)
{
	return (uint64_t)((((unsigned __int128)slot << 64) + t->cap - 1) / t->cap);
}

/* Which of the two tables a hash belongs to. */
static struct table *table_of(struct blocks *b, uint64_t hash)
{
	return b->old.slots && home(&b->old, hash) >= b->moved ? &b->old : &b->now;
}

/* The slot of addr, or the free one where it would go; NULL: there is none. */
static struct block *slot_of(const struct table *t, uint64_t hash, uint64_t addr)
{
	struct block *s = &t->slots[home(t, hash)], *end = &t->slots[t->cap + SPARE];

	while (s < end && s->addr && s->addr != addr)
		s++;
	return s < end ? s : NULL;
}

/* Closes the gap that a removal leaves: what stands behind it moves up if its home allows. */
static void close_gap(const struct blocks *b, const struct table *t, struct block *gap)
{
	struct block *end = &t->slots[t->cap + SPARE];

	for (struct block *s = gap + 1; s < end && s->addr; s++) {
		if (&t->slots[home(t, hash_of(b, s->addr))] > gap)
			continue;
		*gap = *s;
		gap = s;
	}
	memset(gap, 0, sizeof(*gap));
}

static void end_migration(struct blocks *b)
{
	table_unmap(&b->old);
	b->moved = b->given_back = 0;
}

static void give_back(struct blocks *b)
{
	uint64_t done = b->moved * sizeof(struct block) / GIVE_BACK * GIVE_BACK;

	if (done <= b->given_back)
		return;
	madvise((char *)b->old.slots + b->given_back, done - b->given_back, MADV_DONTNEED);
	b->given_back = done;
}

/* Moves so many slots and on to the next free one: only there is it clear whose home lies before. */
static void migrate(struct blocks *b, uint64_t slots)
{
	uint64_t end = b->old.cap + SPARE, at = b->moved;

	if (!b->old.slots)
		return;
	while (at < end && (b->old.slots[at].addr || (slots && at < b->old.cap))) {
		const struct block *from = &b->old.slots[at++];
		struct block *to;

		slots -= slots > 0;
		if (!from->addr)
			continue;
		to = slot_of(&b->now, hash_of(b, from->addr), from->addr);
		if (to)
			*to = *from;
		else
			b->cnt--; /* a table whose spare slots are full: cannot be with an honest hash */
	}
	if (at < b->old.cap) {
		b->moved = at + 1;
		give_back(b);
	} else {
		end_migration(b);
	}
}

/* Begins to move everything into a table of that size. */
static int resize(struct blocks *b, uint64_t cap)
{
	struct table fresh;

	migrate(b, UINT64_MAX); /* one that is still under way: all of the rest */
	if (cap < CAP_MIN)
		cap = CAP_MIN;
	if (table_bytes(cap) > b->max_bytes || table_map(&fresh, cap))
		return -ENOSPC;
	b->old = b->now;
	b->now = fresh;
	return 0;
}

void blocks_limit(struct blocks *b, uint64_t max_bytes)
{
	b->max_bytes = max_bytes > table_bytes(CAP_MIN) ? max_bytes : table_bytes(CAP_MIN);
}

struct blocks *blocks_new(uint64_t max_bytes)
{
	struct blocks *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	blocks_limit(b, max_bytes);
	if (getrandom(&b->seed, sizeof(b->seed), GRND_NONBLOCK) != sizeof(b->seed))
		b->seed = (uintptr_t)b;
	if (table_map(&b->now, CAP_MIN)) {
		free(b);
		return NULL;
	}
	return b;
}

void blocks_free(struct blocks *b)
{
	if (!b)
		return;
	table_unmap(&b->now);
	table_unmap(&b->old);
	free(b);
}

int blocks_add(struct blocks *b, const struct block *block, struct block *replaced)
{
	uint64_t hash = hash_of(b, block->addr);
	struct block *slot;

	migrate(b, STEP_SLOTS);
	slot = slot_of(table_of(b, hash), hash, block->addr);
	if (slot && slot->addr) {
		*replaced = *slot;
		*slot = *block;
		return 1;
	}
	if (b->cnt >= LOAD_MAX(b->now.cap)) {
		if (resize(b, GROWN(b->now.cap)))
			return -ENOSPC;
		slot = slot_of(table_of(b, hash), hash, block->addr);
	}
	if (!slot)
		return -ENOSPC;
	*slot = *block;
	b->cnt++;
	return 0;
}

bool blocks_remove(struct blocks *b, uint64_t addr, struct block *block)
{
	uint64_t hash = hash_of(b, addr);
	struct table *t = table_of(b, hash);
	struct block *slot = slot_of(t, hash, addr);

	if (!addr || !slot || !slot->addr)
		return false;
	*block = *slot;
	close_gap(b, t, slot);
	b->cnt--;
	migrate(b, STEP_SLOTS);
	if (!b->old.slots && b->now.cap > CAP_MIN && b->cnt < LOAD_MIN(b->now.cap))
		resize(b, SHRUNK(b->now.cap));
	return true;
}

struct block *blocks_at(struct blocks *b, uint64_t addr)
{
	uint64_t hash = hash_of(b, addr);
	struct block *slot = slot_of(table_of(b, hash), hash, addr);

	return addr && slot && slot->addr ? slot : NULL;
}

const struct block *blocks_find(const struct blocks *b, uint64_t addr)
{
	return blocks_at((struct blocks *)b, addr);
}

void blocks_prefetch(const struct blocks *b, uint64_t addr)
{
	uint64_t hash = hash_of(b, addr);
	const struct table *t = table_of((struct blocks *)b, hash);

	__builtin_prefetch(&t->slots[home(t, hash)], 1);
}

uint64_t blocks_cnt(const struct blocks *b)
{
	return b->cnt;
}

uint64_t blocks_bytes(const struct blocks *b)
{
	uint64_t bytes = b->now.cap * sizeof(struct block), old = b->old.cap * sizeof(struct block);

	if (!b->old.slots)
		return bytes;
	/* Of the new table as much has been touched as of the old one has been moved. */
	return (uint64_t)((double)bytes * (double)b->moved / (double)b->old.cap) +
	       (old > b->given_back ? old - b->given_back : 0);
}

/*
 * Visits table t from the cursor's home on until max blocks have been seen and a free slot
 * comes, and moves the cursor behind them. Returns false at the table's end.
 */
static bool scan_table(struct blocks *b, const struct table *t, uint64_t *cursor, size_t *left,
		       void (*fn)(struct block *block, void *arg), void *arg)
{
	uint64_t at = home(t, *cursor), end = t->cap + SPARE;

	for (; at < end; at++) {
		struct block *s = &t->slots[at];

		if (!s->addr) {
			if (at >= t->cap)
				return false;
			if (!*left) {
				*cursor = hash_from(t, at);
				return true;
			}
			continue;
		}
		if (hash_of(b, s->addr) < *cursor) /* displaced from before the cursor: seen */
			continue;
		fn(s, arg);
		*left -= *left > 0;
	}
	return false;
}

bool blocks_scan(struct blocks *b, uint64_t *cursor, size_t max, void (*fn)(struct block *block, void *arg),
		 void *arg)
{
	uint64_t boundary; /* of the hashes that have been moved */

	if (!b->old.slots || b->moved >= b->old.cap)
		return scan_table(b, &b->now, cursor, &max, fn, arg);
	boundary = hash_from(&b->old, b->moved);
	if (*cursor < boundary) {
		if (scan_table(b, &b->now, cursor, &max, fn, arg) && *cursor < boundary)
			return true;
		*cursor = boundary;
	}
	return scan_table(b, &b->old, cursor, &max, fn, arg);
}

void blocks_clear(struct blocks *b)
{
	struct table fresh;

	end_migration(b);
	b->cnt = 0;
	if (table_map(&fresh, CAP_MIN)) {
		memset(b->now.slots, 0, table_bytes(b->now.cap));
		return;
	}
	table_unmap(&b->now);
	b->now = fresh;
}
