/*
 * A snapshot whose sites are those of blocks and, behind them, those of Python's small objects: for forms that show
 * stacks by weight (picture/weight.h). Only blocks' sites have their numbers (by_number).
 */
#ifndef ALLOCTRACE_PICTURE_WITH_OBJECTS_H
#define ALLOCTRACE_PICTURE_WITH_OBJECTS_H

#include "picture/snapshot.h"

struct with_objects {
	struct snapshot s;
	struct allocation_view allocs;
	struct site_view *sites;
};

/*
 * *s is what to show: with->s, or the snapshot itself where there are no objects. Valid as long as both.
 * 0 or −ENOMEM; with_objects_free afterwards either way.
 */
int with_objects_make(struct with_objects *with, const struct snapshot **s);
void with_objects_free(struct with_objects *with);

#endif
