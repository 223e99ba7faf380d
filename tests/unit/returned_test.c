/* Which way returned bytes are booked, and that no call is booked with more than its own length. */
#include "detect/returned.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/units.h"

#define BLOCK 0x7f0000021000ULL /* a block's mapping: page-aligned, no more */
#define HEAP 0x7f0000000000ULL  /* an arena's heap: aligned to 64 MiB */

struct step {
	const char *what;
	struct event_memory ev;
	bool from_libc;
	struct returned expect;
};

static const struct step steps[] = {
	{ "the main heap's top is trimmed",
	  { .op = MEMORY_BRK, .shrink = 1, .addr = 0x1000000, .len = 8 * MIB, .rss_drop = 8 * MIB },
	  true, { .trim = 8 * MIB } },
	{ "a brk shrink of the program's own is the same call",
	  { .op = MEMORY_BRK, .shrink = 1, .len = MIB, .rss_drop = MIB }, false, { .trim = MIB } },
	{ "an arena's heap is shrunk inside free",
	  { .op = MEMORY_MADVISE, .shrink = 1, .addr = BLOCK, .len = 4 * MIB, .rss_drop = 3 * MIB },
	  true, { .trim = 3 * MIB } },
	{ "an arena's heap is deleted inside free",
	  { .op = MEMORY_MUNMAP, .shrink = 1, .addr = HEAP, .len = 64 * MIB, .rss_drop = 5 * MIB },
	  true, { .trim = 5 * MIB } },
	{ "a large block is freed: it has a mapping of its own",
	  { .op = MEMORY_MUNMAP, .shrink = 1, .addr = BLOCK, .len = 64 * MIB, .rss_drop = 64 * MIB },
	  true, { .munmap = 64 * MIB } },
	{ "a large block that is aligned by accident, but not of a heap's size",
	  { .op = MEMORY_MUNMAP, .shrink = 1, .addr = HEAP, .len = 64 * MIB + 4096, .rss_drop = MIB },
	  true, { .munmap = MIB } },
	{ "the program unmaps",
	  { .op = MEMORY_MUNMAP, .shrink = 1, .addr = HEAP, .len = 64 * MIB, .rss_drop = MIB },
	  false, { .munmap = MIB } },
	{ "a mapping is made smaller",
	  { .op = MEMORY_MREMAP, .shrink = 1, .addr = BLOCK, .len = MIB, .rss_drop = MIB },
	  true, { .munmap = MIB } },
	{ "another allocator advises",
	  { .op = MEMORY_MADVISE, .shrink = 1, .addr = BLOCK, .len = MIB, .rss_drop = MIB },
	  false, { .madvise = MIB } },
	{ "advice that takes nothing away",
	  { .op = MEMORY_MADVISE, .shrink = 0, .addr = BLOCK, .len = MIB }, false, { 0 } },
	{ "inside a purge: the purge counts it",
	  { .op = MEMORY_MADVISE, .shrink = 1, .len = MIB, .rss_drop = MIB, .purge_id = 7 }, true, { 0 } },
	{ "memory taken inside a purge is taken all the same",
	  { .op = MEMORY_BRK, .len = MIB, .rss_drop = -4096, .purge_id = 7 }, true, { .taken_brk = MIB } },
	{ "the heap grows", { .op = MEMORY_BRK, .len = 132 * KIB }, true, { .taken_brk = 132 * KIB } },
	{ "a mapping is made", { .op = MEMORY_MMAP, .len = MIB }, false, { .taken_mmap = MIB } },
	{ "a mapping grows", { .op = MEMORY_MREMAP, .len = MIB }, false, { .taken_mmap = MIB } },
	{ "a call that failed",
	  { .op = MEMORY_MUNMAP, .shrink = 1, .len = MIB, .rss_drop = MIB, .failed = 1 }, false, { 0 } },
	{ "other threads faulted: RSS rose across the call",
	  { .op = MEMORY_MUNMAP, .shrink = 1, .len = MIB, .rss_drop = -(int64_t)MIB }, false, { 0 } },
	{ "other threads freed meanwhile: no call returns more than its length",
	  { .op = MEMORY_MUNMAP, .shrink = 1, .addr = BLOCK, .len = 5000, .rss_drop = 64 * MIB },
	  false, { .munmap = 8192 } },
	{ "a length that would overflow when rounded",
	  { .op = MEMORY_MUNMAP, .shrink = 1, .addr = BLOCK, .len = UINT64_MAX, .rss_drop = 4096 },
	  false, { .munmap = 4096 } },
	{ "a kind of call that nobody knows",
	  { .op = 99, .shrink = 1, .len = MIB, .rss_drop = MIB }, false, { 0 } },
	{ "a kind of call that nobody knows, taking", { .op = 99, .len = MIB }, false, { 0 } },
};

static void books_each_way(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		struct returned r = { 0 };

		returned_add(&r, &steps[i].ev, steps[i].from_libc);
		if (memcmp(&r, &steps[i].expect, sizeof(r)))
			fail_msg("%s: purge %lu trim %lu munmap %lu madvise %lu brk %lu mmap %lu", steps[i].what,
				 r.purge, r.trim, r.munmap, r.madvise, r.taken_brk, r.taken_mmap);
	}
}

static void sums_up(void **state)
{
	const struct event_memory unmap = { .op = MEMORY_MUNMAP, .shrink = 1, .len = MIB, .rss_drop = MIB };
	struct returned r = { 0 };

	(void)state;
	for (int i = 0; i < 3; i++)
		returned_add(&r, &unmap, false);
	returned_add_purge(&r, 5 * MIB);
	returned_add_purge(&r, 7);
	assert_int_equal(r.munmap, 3 * MIB);
	assert_int_equal(r.purge, 5 * MIB + 7);
	assert_int_equal(r.trim + r.madvise + r.taken_brk + r.taken_mmap, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(books_each_way),
		cmocka_unit_test(sums_up),
	};

	return cmocka_run_group_tests_name("returned", tests, NULL, NULL);
}
