/*
 * The numbers that stand for names in jemalloc's mallctlbymib: they differ from build to build,
 * and a program may have asked for them (mallctlnametomib) long before anybody looks. Read from
 * the tables that jemalloc itself looks them up in: struct ctl_named_node_s of
 * include/jemalloc/internal/ctl.h, the same from 3.0 to 5.3 on 64-bit machines.
 */
#ifndef ALLOCTRACE_PROBE_MALLCTL_H
#define ALLOCTRACE_PROBE_MALLCTL_H

#include <stdint.h>

#include "../bpf/event.h"
#include "target/object.h"

struct mallctl_numbers {
	unsigned char arena;                /* of "arena", in the first level */
	unsigned char control[CONTROL_CNT]; /* of "purge", "decay", … in an arena's; MIB_NUMBER_NONE: it has none */
};

/* 0; −ENOENT: the tables were not found, or a number is MIB_NUMBER_NONE or above; or why it could not be read. */
int mallctl_numbers(const struct object *obj, struct mallctl_numbers *numbers);

#endif
