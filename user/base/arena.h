/* Memory that is given back all at once; bounded, so that hostile input cannot ask for more. */
#ifndef ALLOCTRACE_BASE_ARENA_H
#define ALLOCTRACE_BASE_ARENA_H

#include <stddef.h>

struct arena_block;

struct arena { /* all zero but max: empty and valid */
	struct arena_block *blocks; /* newest first */
	size_t used, max;           /* bytes, in all blocks; max 0: no bound */
};

/* Zeroed, aligned for any type; NULL: no memory, or beyond max. A size of 0 is a pointer too. */
void *arena_get(struct arena *arena, size_t size);
/* Gives all back; idempotent. */
void arena_reset(struct arena *arena);

#endif
