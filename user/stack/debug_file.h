/* Where the separate debug file of an object lies: by build-id and by debuglink, in the target's root, then
 * ours. */
#ifndef ALLOCTRACE_STACK_DEBUG_FILE_H
#define ALLOCTRACE_STACK_DEBUG_FILE_H

#include <stddef.h>
#include <stdint.h>

/*
 * Opens the debug file of the object at path (in the target): with the same build-id, or, where
 * the object has none, with the debuglink's CRC. A descriptor, of a copy if it lies in another
 * root than ours; −1: there is none.
 */
int debug_file_open(int root, const char *path, const uint8_t *build_id, size_t build_id_sz, const char *link,
		    uint32_t crc);

#endif
