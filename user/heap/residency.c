#include "heap/residency.h"

#include <string.h>

#define BATCH_PAGES 4096
#define GUARD_MAX (64ULL << 10) /* glibc's default guard is one page; programs ask for a few */

int residency_add(struct memory *mem, uint64_t start, uint64_t end, struct residency *r)
{
	uint8_t state[BATCH_PAGES];

	r->held += end - start;
	while (start < end) {
		uint64_t stop = start + BATCH_PAGES * TARGET_PAGE_SIZE;
		int err;

		if (stop > end || stop < start)
			stop = end;
		err = memory_pages(mem, start, stop, state);
		if (err)
			return err;
		for (size_t i = 0; i < (stop - start) / TARGET_PAGE_SIZE; i++) {
			if (state[i] & PAGE_PRESENT)
				r->resident += TARGET_PAGE_SIZE;
			else if (state[i] & PAGE_SWAPPED)
				r->swapped += TARGET_PAGE_SIZE;
		}
		start = stop;
	}
	return 0;
}

static bool is_guard(const struct mapping *m)
{
	return !m->read && !m->write && !m->exec && !m->inode && m->end - m->start <= GUARD_MAX;
}

static bool is_stack(const struct maps *maps, size_t i)
{
	const struct mapping *m = &maps->v[i];

	if (!strncmp(m->name, "[stack", 6))
		return true;
	return i > 0 && !m->name[0] && maps->v[i - 1].end == m->start && is_guard(&maps->v[i - 1]);
}

int residency_add_anonymous(struct memory *mem, const struct maps *maps, struct residency *r)
{
	for (size_t i = 0; i < maps->cnt; i++) {
		const struct mapping *m = &maps->v[i];
		int err;

		if (!mapping_is_anon_rw(m) || is_stack(maps, i))
			continue;
		/* A library's bss adjoins its file mapping: the program's variables, no allocator's blocks. */
		if (i > 0 && !m->name[0] && maps->v[i - 1].inode && maps->v[i - 1].write &&
		    maps->v[i - 1].end == m->start)
			continue;
		err = residency_add(mem, m->start, m->end, r);
		if (err)
			return err;
	}
	return 0;
}
