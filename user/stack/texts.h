/* Names and paths, each kept once: equal ones are one pointer. Not for two threads at once. */
#ifndef ALLOCTRACE_STACK_TEXTS_H
#define ALLOCTRACE_STACK_TEXTS_H

#include "base/map.h"

struct texts { /* all zero: empty and valid */
	struct map v;
};

void texts_free(struct texts *texts); /* idempotent */
/* The one copy of s, which lives as long as texts; NULL: s is NULL, no memory, or one too many. */
const char *texts_get(struct texts *texts, const char *s);

#endif
