/*
 * Where the function begins that holds an address: by the search table of .eh_frame_hdr (LSB Core 5.0, 10.6.2),
 * which linkers sort, in the form that all of them write (data-relative, 4 bytes signed). Hostile input.
 */
#ifndef ALLOCTRACE_TARGET_FUNCTION_START_H
#define ALLOCTRACE_TARGET_FUNCTION_START_H

#include <stdint.h>

#include "target/object.h"

/*
 * The last function that begins at or below addr, both as linked; it may end before addr. −ENOENT: there is none, or no
 * such table; −ENOEXEC, −errno of reading.
 */
int function_start(struct object *obj, uint64_t addr, uint64_t *start);

#endif
