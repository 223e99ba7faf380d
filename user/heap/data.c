#include "heap/data.h"

#include <stdlib.h>
#include <string.h>

#define SCAN_STEP (256UL << 10)
#define RANGE_MAX (64UL << 20) /* a library's data is some KB, a radix tree's root 2 MB */

/* Copies what is present of [addr, addr + len), zeros elsewhere; false if nothing is. */
static bool read_piece(struct memory *mem, uint64_t addr, char *buf, size_t len)
{
	uint8_t state[(SCAN_STEP + DATA_OVERLAP) / TARGET_PAGE_SIZE];
	bool any = false;

	memset(buf, 0, len);
	if (memory_pages(mem, addr, addr + len, state) != 0)
		return false;
	for (size_t off = 0; off < len; off += TARGET_PAGE_SIZE)
		if (state[off / TARGET_PAGE_SIZE] & PAGE_PRESENT)
			any |= memory_read(mem, addr + off, buf + off, TARGET_PAGE_SIZE) > 0;
	return any;
}

bool data_scan(struct memory *mem, struct data_range range, data_fn fn, void *arg)
{
	char *buf = malloc(SCAN_STEP + DATA_OVERLAP);
	bool found = false;

	for (uint64_t at = range.start; buf && !found && at < range.end; at += SCAN_STEP) {
		uint64_t left = range.end - at;
		size_t len = left < SCAN_STEP + DATA_OVERLAP ? left : SCAN_STEP + DATA_OVERLAP;

		if (read_piece(mem, at, buf, len))
			found = fn(buf, len, at, arg);
	}
	free(buf);
	return found;
}

bool data_range_of(const struct maps *maps, size_t i, struct data_range *range)
{
	const struct mapping *m = &maps->v[i], *bss = i + 1 < maps->cnt ? m + 1 : NULL;

	if (!m->inode || !m->write || !m->read || m->shared)
		return false;
	*range = (struct data_range){m->start, m->end};
	if (bss && bss->start == m->end && mapping_is_anon_rw(bss) && strcmp(bss->name, "[heap]"))
		range->end = bss->end;
	if (range->end - range->start > RANGE_MAX)
		range->end = range->start + RANGE_MAX;
	return true;
}
