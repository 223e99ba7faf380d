/* The parser of /proc/PID/maps on whatever bytes: sorted, sane mappings or an error, and nothing else. */
#include <stdlib.h>
#include <string.h>

#include "target/maps.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct maps maps = { 0 };

	if (maps_parse((const char *)data, size, &maps))
		return 0;
	for (size_t i = 0; i < maps.cnt; i++) {
		const struct mapping *m = &maps.v[i];

		if (m->start >= m->end || (i && maps.v[i - 1].end > m->start) || !memchr(m->name, '\0', size + 64))
			abort();
		if (maps_find(&maps, m->start) != m || maps_find(&maps, m->end - 1) != m)
			abort();
	}
	maps_free(&maps);
	maps_free(&maps);
	return 0;
}
