/*
 * Where a thread has its errno: at a distance from its thread pointer that is the same for all
 * threads, and that the C library's __errno_location (LSB 5.0, in glibc and musl) adds to it.
 * The few instructions of that function are carried out here. x86-64.
 */
#ifndef ALLOCTRACE_TARGET_ERRNO_PLACE_H
#define ALLOCTRACE_TARGET_ERRNO_PLACE_H

#include <stdint.h>
#include <sys/types.h>

#include "target/maps.h"
#include "target/object.h"

/* m: a mapping of the C library, or of a static program. 0 and *distance, or −ENOENT. */
int errno_place_find(pid_t pid, struct object *obj, const struct mapping *m, int64_t *distance);

#endif
