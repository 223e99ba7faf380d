/*
 * Blocks whose allocation was recorded and whose free was not yet, as far as others have not
 * displaced them. User space knows their sizes: not to read their headers saves a third of
 * what a pair's programs take. By address, 8-byte aligned in 47 bits, and process: a forked
 * child has its parent's addresses. One file includes it.
 */
#ifndef ALLOCTRACE_RECENT_BPF_H
#define ALLOCTRACE_RECENT_BPF_H

#include "calls.bpf.h"

struct recent_block recent[1 << RECENT_BITS];

bool reads_headers; /* set by the loader when user space cannot keep every block any more */

static __always_inline struct recent_block *recent_of(u64 block)
{
	return &recent[block * 0x9e3779b97f4a7c15ULL >> (64 - RECENT_BITS)];
}

static __always_inline u64 recent_key(u64 block, u64 pid_tgid)
{
	return block >> 3 | pid_tgid >> 32 << 44;
}

static __always_inline void remember(u64 block, u64 size, u64 pid_tgid)
{
	struct recent_block *r = recent_of(block);

	r->size = size;
	r->key = recent_key(block, pid_tgid);
}

/* What event_block.size says of a block that leaves: EVENT_SIZE_KNOWN, *size; or the word before it; or 0. */
static __always_inline u64 take_header(u64 block, u64 pid_tgid, u64 cookie, u64 *size)
{
	struct recent_block *r = recent_of(block);

	if (r->key == recent_key(block, pid_tgid)) {
		*size = r->size;
		r->key = 0;
		if (!reads_headers)
			return EVENT_SIZE_KNOWN;
	}
	return cookie & COOKIE_HAS_HEADER ? user_word(block - sizeof(u64)) : 0;
}

#endif
