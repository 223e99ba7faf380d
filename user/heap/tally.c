#include "heap/tally.h"

#include "base/units.h"

void tally_range(struct window *win, uint64_t start, uint64_t end, struct heap_figures *f)
{
	while (start < end) {
		uint64_t stop = align_down(start, TARGET_PAGE_SIZE) + TARGET_PAGE_SIZE;

		if (stop > end)
			stop = end;
		tally_page(f, window_state(win, start), stop - start);
		start = stop;
	}
}

uint64_t tally_room(const struct maps *maps)
{
	uint64_t room = GIB;

	for (size_t i = 0; i < maps->cnt; i++)
		if (!maps->v[i].inode && !maps->v[i].shared)
			room += 2 * (maps->v[i].end - maps->v[i].start);
	return room;
}
