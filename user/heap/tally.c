#include "heap/tally.h"

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
