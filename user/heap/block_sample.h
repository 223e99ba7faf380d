/*
 * A sample of blocks by address: those whose hash is below a limit, which falls as they become too many. So each
 * block of a heap is as likely as any other to be in it, and is in it at the next walk too.
 */
#ifndef ALLOCTRACE_HEAP_BLOCK_SAMPLE_H
#define ALLOCTRACE_HEAP_BLOCK_SAMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BLOCK_SAMPLE_MAX 16384

struct sampled_block {
	uint64_t addr; /* the program's pointer */
	uint64_t size; /* bytes as the allocator rounds them */
};

struct block_sample { /* all zero: empty and valid, of all blocks */
	struct sampled_block *v;
	size_t cnt;
	unsigned halvings; /* one of 2^halvings blocks is in it */
};

void block_sample_free(struct block_sample *sample); /* idempotent */
/* What has no memory is left out. */
void block_sample_add(struct block_sample *sample, uint64_t addr, uint64_t size);
/*
 * Sorts by address; of several at one address one stays, and only if is_there says so: a walk that went back has
 * met it again.
 */
void block_sample_finish(struct block_sample *sample, bool (*is_there)(const void *arg, uint64_t addr), const void *arg);

#endif
