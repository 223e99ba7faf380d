#include "heap/walk.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/units.h"

void heap_walk_free(struct heap_walk *walk)
{
	heap_pages_free(&walk->pages);
	free(walk->arenas);
	walk->arenas = NULL;
	walk->arena_cnt = 0;
}

void heap_walk_set(struct heap_walk *walk, struct heap_setting setting)
{
	if (walk->setting_cnt < HEAP_SETTING_MAX)
		walk->settings[walk->setting_cnt++] = setting;
}

void heap_walk_sentence(const struct heap_walk *walk, const char *purge_call, char *buf, size_t len)
{
	const struct heap_figures *t = &walk->total;
	char others[UNITS_TEXT_MAX + 48] = "", purgeable[UNITS_TEXT_MAX], resident[UNITS_TEXT_MAX],
				     pinned[UNITS_TEXT_MAX];

	units_bytes(purgeable, t->purgeable);
	units_bytes(resident, t->resident);
	units_bytes(pinned, t->retained - t->purgeable);
	if (t->pinned.other_threads) {
		char bytes[UNITS_TEXT_MAX];

		snprintf(others, sizeof(others), ", %s of them until other threads call it",
			 units_bytes(bytes, t->pinned.other_threads));
	}
	if (!walk->complete)
		snprintf(buf, len,
			 "the heap does not add up: at least %s of the %s resident could be returned",
			 purgeable, resident);
	else if (!purge_call)
		snprintf(buf, len, "no call returns memory; %s%s of %s resident are free and stay",
			 walk->estimate ? "about " : "", pinned, resident);
	else
		snprintf(buf, len, "%s would return %s%s of %s resident; %s stay pinned%s", purge_call,
			 walk->estimate ? "about " : "", purgeable, resident, pinned, others);
}
