/* The probes of Python's objects in the order of placing: few of some two hundred places have nearly all hits. */
#ifndef ALLOCTRACE_PROBE_OBJECT_SPOTS_H
#define ALLOCTRACE_PROBE_OBJECT_SPOTS_H

#include "../bpf/share.h"
#include "probe/link.h"

/*
 * Puts those that have nearly all hits (by their numbers, in the cookie) first. How many these are; 0 where too
 * little is known, and the order as it was.
 */
size_t object_spots_rank(struct link_spot *spots, size_t cnt, const uint64_t hits[POOL_PLACES_MAX]);

#endif
