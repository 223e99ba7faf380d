/*
 * The table of live blocks, by address: at most 48 bytes of ours a block, all in, whatever
 * the number, and no operation that takes longer than some 10 µs: it grows and shrinks a
 * few slots an insertion, memory that it has left goes back at once.
 */
#ifndef ALLOCTRACE_HEAP_BLOCKS_H
#define ALLOCTRACE_HEAP_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BLOCK_TICK_NS 10000000ULL  /* of block.tick: 10 ms, good for 497 days */
#define BLOCK_SIZE_MAX ((1ULL << 48) - 1)

struct block {
	uint64_t addr;         /* never 0 */
	uint64_t size : 48;    /* bytes asked for */
	uint64_t suspect : 1;  /* the last walk found no block there */
	uint64_t group : 5;    /* of the cell it was born in, from 1 on (heap/cells.h); 0: a sure one, or no budget */
	uint64_t weight : 10;  /* enum block_weight */
	uint32_t site;         /* index into sites */
	uint32_t tick;         /* when it was allocated, BLOCK_TICK_NS since the ledger began */
};

/* What a block counts at its site, as it is kept with it. */
enum block_weight {
	BLOCK_AS_SAMPLED,         /* one, or what the ledger's fixed sampling says */
	BLOCK_WEIGHT,             /* and above: estimate_weight(weight − BLOCK_WEIGHT) */
	BLOCK_OF_CELL = 1022,     /* it was born in the cell that is on now: its weight comes with the cell's end */
	BLOCK_NOTHING,            /* its stack was not sampled, or others stand for it */
};

struct blocks;

/* max_bytes: of memory for the table. NULL: no memory. */
struct blocks *blocks_new(uint64_t max_bytes);
void blocks_free(struct blocks *blocks); /* NULL-safe */
/* Another limit from now on: below what is in use, there is no growing any more. */
void blocks_limit(struct blocks *blocks, uint64_t max_bytes);

/*
 * Adds a block. 0; 1: another stood at that address, which *replaced now holds; −ENOSPC: the
 * limit is reached (or there is no memory), nothing changed.
 */
int blocks_add(struct blocks *blocks, const struct block *block, struct block *replaced);
/* Removes the block at addr into *block; false: there is none. */
bool blocks_remove(struct blocks *blocks, uint64_t addr, struct block *block);
/* NULL: none. Valid until the next call that adds or removes. */
const struct block *blocks_find(const struct blocks *blocks, uint64_t addr);
/* The same, to change what is no address. */
struct block *blocks_at(struct blocks *blocks, uint64_t addr);
/* Asks for the cache line that an operation on addr will need. */
void blocks_prefetch(const struct blocks *blocks, uint64_t addr);

uint64_t blocks_cnt(const struct blocks *blocks);
uint64_t blocks_bytes(const struct blocks *blocks); /* of memory in use */

/*
 * Visits some `max` blocks from *cursor on (0 to begin) and moves the cursor; false: that was
 * the last. Between two calls blocks may be added and removed: one that is there all the time
 * is visited exactly once. fn may change all but addr; it must not add or remove.
 */
bool blocks_scan(struct blocks *blocks, uint64_t *cursor, size_t max, void (*fn)(struct block *block, void *arg),
		 void *arg);
/* Removes all. */
void blocks_clear(struct blocks *blocks);

#endif
