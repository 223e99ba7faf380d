/* The figures of the heap's readings since the last report, for time lines. */
#ifndef ALLOCTRACE_COMMAND_READINGS_H
#define ALLOCTRACE_COMMAND_READINGS_H

#include "heap/sampler.h"
#include "picture/snapshot.h"

#define READINGS_MAX 1024 /* beyond, of each two neighbours the later one stays, with the higher rss, retained and purgeable */

struct readings { /* all zero: empty and valid */
	struct state_sample *v; /* oldest first */
	size_t cnt;
};

void readings_free(struct readings *readings);
/* live: bytes by allocation events, or UNKNOWN. Without memory it is not kept. */
void readings_add(struct readings *readings, const struct sample *sample, uint64_t live);

#endif
