/*
 * Where the direct call is that returns to an address on a stack: 5 bytes, which the kernel emulates. x86-64.
 *
 * A breakpoint within an instruction would break the program. So the bytes are decoded from the function's beginning on
 * (target/function_start.h): one of the instructions must be a direct call that ends at the address.
 */
#ifndef ALLOCTRACE_PROBE_CALL_SITE_H
#define ALLOCTRACE_PROBE_CALL_SITE_H

#include <stdint.h>
#include <sys/types.h>

#include "target/maps.h"
#include "target/object.h"

struct call_site {
	struct object *obj; /* the caller's, who frees it */
	uint64_t offset;    /* of the instruction, in the file */
};

/* maps: the process's, not older than the address. −ENOENT: it cannot be told, or it is no direct call; −ENOMEM. */
int call_site_find(pid_t pid, const struct maps *maps, uint64_t return_addr, struct call_site *site);

#endif
