/*
 * A target's memory saved to a file: its mappings, the states of their pages and the bytes
 * of the pages that were in RAM. Read back by memory_open_image (memory.h), so that a heap
 * can be walked where the process is not. It holds what the process had in its memory,
 * secrets too.
 *
 * Format, little-endian:
 *
 *   "ALTIMAGE"  u32 version (1)  u32 flags (1: the body is a zlib stream)
 *   body: u64 length and text of the maps file
 *         u64 number of ranges, each: u64 start, u64 pages,
 *             pages × u8 state (enum page_state), then 4096 bytes for each present page
 *
 * Ranges ascend and do not overlap. Pages outside of all ranges are absent.
 */
#ifndef ALLOCTRACE_TARGET_IMAGE_H
#define ALLOCTRACE_TARGET_IMAGE_H

#include <stdio.h>

#include "target/memory.h"

#define IMAGE_MAGIC "ALTIMAGE"
#define IMAGE_VERSION 1
#define IMAGE_COMPRESSED 1

/*
 * Saves mem's private writable mappings, without stacks, to out. −EFBIG if more than max
 * bytes of pages would have to be saved. 0 or −errno.
 */
int image_save(struct memory *mem, FILE *out, uint64_t max, struct error *err);

#endif
