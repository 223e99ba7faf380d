#include "detect/freed.h"

#include <stdlib.h>
#include <string.h>

void freed_free(struct freed *freed)
{
	free(freed->last.bytes);
	free(freed->earlier.bytes);
	free(freed->opened.bytes);
	*freed = (struct freed){.was_open = false};
}

static void take_mark(struct freed_mark *mark, struct sites *sites)
{
	uint32_t cnt = sites_cnt(sites);
	uint64_t *bytes = realloc(mark->bytes, cnt * sizeof(*bytes));

	if (!bytes)
		return;
	for (uint32_t i = 0; i < cnt; i++)
		bytes[i] = sites_at(sites, i)->freed_here.bytes;
	mark->bytes = bytes;
	mark->cnt = cnt;
}

/* Keeps the largest at the front: an insertion into a few. */
static void rank(struct window_freed *top, unsigned *cnt, struct window_freed one)
{
	unsigned at = *cnt;

	while (at > 0 && top[at - 1].bytes < one.bytes)
		at--;
	if (at == WINDOW_FREED_MAX)
		return;
	if (*cnt < WINDOW_FREED_MAX)
		++*cnt;
	memmove(&top[at + 1], &top[at], (*cnt - at - 1) * sizeof(*top));
	top[at] = one;
}

void freed_before(struct freed *freed, struct sites *sites, struct window_detector *d)
{
	struct window_freed top[WINDOW_FREED_MAX];
	uint32_t site_cnt = sites_cnt(sites);
	unsigned cnt = 0;

	freed->was_open = window_detector_is_open(d);
	if (!freed->was_open)
		return;
	for (uint32_t i = 0; i < site_cnt; i++) {
		uint64_t before = i < freed->opened.cnt ? freed->opened.bytes[i] : 0;
		uint64_t bytes = sites_at(sites, i)->freed_here.bytes - before;

		if (bytes)
			rank(top, &cnt, (struct window_freed){.site = i, .bytes = bytes});
	}
	window_detector_freed(d, top, cnt);
}

static void swap(struct freed_mark *one, struct freed_mark *other)
{
	struct freed_mark mark = *one;

	*one = *other;
	*other = mark;
}

void freed_after(struct freed *freed, struct sites *sites, struct window_detector *d)
{
	bool open = window_detector_is_open(d), in_window = open || freed->was_open || freed->left_open;

	if (open && !freed->was_open) {
		swap(&freed->opened,
		     freed->in_window || !freed->earlier.bytes ? &freed->last : &freed->earlier);
		freed_before(freed, sites, d);
	}
	swap(&freed->earlier, &freed->last);
	take_mark(&freed->last, sites);
	freed->in_window = in_window;
	freed->left_open = open;
}
