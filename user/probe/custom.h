/*
 * An allocator that the user names (-S PREFIX, -O OBJECT): the functions PREFIXmalloc, PREFIXcalloc
 * and so on of any object, or those of one object. If they turn out to be jemalloc's under a
 * prefix that is not known, they are taken for jemalloc's, purges and all.
 */
#ifndef ALLOCTRACE_PROBE_CUSTOM_H
#define ALLOCTRACE_PROBE_CUSTOM_H

#include "probe/allocator.h"

#define CUSTOM_NAME_MAX 96

struct custom { /* points into itself: not to be copied */
	const struct allocator *kinds[3]; /* NULL-ended, what allocator_nth takes as more */
	struct allocator jemalloc, plain;
	const char *prefixes[2];
	char name[CUSTOM_NAME_MAX]; /* "my_malloc", "liballoc.so", "liballoc.so my_malloc" */
};

/* Either may be NULL; with both there is none. The texts must outlive it. */
void custom_init(struct custom *custom, const char *prefix, const char *object);

#endif
