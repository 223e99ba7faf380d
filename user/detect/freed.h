/*
 * Who freed most while memory was retained: marks of the sites' freed_here at each heap state,
 * and the difference over an open window. A window is seen open one state late, and what is freed
 * while a state is read, or waits to be compared, is in its mark already: it counts from the state
 * before that, unless this one belongs to another window.
 */
#ifndef ALLOCTRACE_DETECT_FREED_H
#define ALLOCTRACE_DETECT_FREED_H

#include <stdbool.h>
#include <stdint.h>

#include "detect/window.h"
#include "heap/sites.h"

struct freed_mark {
	uint64_t *bytes; /* by site number */
	uint32_t cnt;
};

struct freed {                                   /* all zero: nothing seen */
	struct freed_mark last, earlier, opened; /* at the last state; at the one before; where the window counts from */
	bool was_open;
	bool in_window; /* the last state was in one, or the first after it */
	bool left_open; /* by the last state */
};

void freed_free(struct freed *freed);
/* Around what may open or close a window (a heap state, a purge): tells d what was freed in the open one. */
void freed_before(struct freed *freed, struct sites *sites, struct window_detector *d);
/* After a heap state: marks it. */
void freed_after(struct freed *freed, struct sites *sites, struct window_detector *d);

#endif
