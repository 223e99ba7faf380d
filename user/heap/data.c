#include "heap/data.h"

#include <stdlib.h>
#include <string.h>

#define RANGE_MAX (64UL << 20) /* a library's data is some KB, a radix tree's root 2 MB */

bool data_copy(struct memory *mem, uint64_t addr, void *buf, size_t len)
{
	uint64_t start = addr & ~(TARGET_PAGE_SIZE - 1), end = addr + len;
	uint8_t state[(DATA_STEP + DATA_OVERLAP) / TARGET_PAGE_SIZE + 1];
	bool any = false;

	memset(buf, 0, len);
	end = (end + TARGET_PAGE_SIZE - 1) & ~(TARGET_PAGE_SIZE - 1);
	if (end < start || end - start > sizeof(state) * TARGET_PAGE_SIZE ||
	    memory_pages(mem, start, end, state) != 0)
		return false;
	for (uint64_t at = addr; at < addr + len;) {
		uint64_t stop = (at & ~(TARGET_PAGE_SIZE - 1)) + TARGET_PAGE_SIZE;

		if (stop > addr + len)
			stop = addr + len;
		if (state[(at - start) / TARGET_PAGE_SIZE] & PAGE_PRESENT)
			any |= memory_read(mem, at, (char *)buf + (at - addr), stop - at) > 0;
		at = stop;
	}
	return any;
}

bool data_scan(struct memory *mem, struct data_range range, data_fn fn, void *arg)
{
	char *buf = malloc(DATA_STEP + DATA_OVERLAP);
	bool found = false;

	for (uint64_t at = range.start; buf && !found && at < range.end; at += DATA_STEP) {
		uint64_t left = range.end - at;
		size_t len = left < DATA_STEP + DATA_OVERLAP ? left : DATA_STEP + DATA_OVERLAP;

		if (data_copy(mem, at, buf, len))
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
