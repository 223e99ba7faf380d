/*
 * mimalloc 2.0.9, 2.1.2 to 2.4 and 3.0 to 3.6, of a library or linked in, release builds, x86-64.
 *
 *   mimalloc.c           find and walk: assembles the parts below
 *   mimalloc_layout.c    rows: struct offsets by version, with their sources
 *   mimalloc_locate.c    its options and its first heap in writable data, and which row it is
 *   mimalloc_page.c      one mimalloc page: which of its blocks are in use
 *   mimalloc_owners.c    what is counted, by the thread that it belongs to
 *   mimalloc_segments.c  2.x: segments, and the spans that they are cut into
 *   mimalloc_collect.c   2.x: what mi_collect(true) would do with them
 *   mimalloc_areas.c     2.x: arenas, and segments kept for reuse
 *   mimalloc_slices.c    3.x: arenas of slices, and what is mapped by itself
 *   mimalloc_heap.h      what these share
 */
#ifndef ALLOCTRACE_HEAP_MIMALLOC_H
#define ALLOCTRACE_HEAP_MIMALLOC_H

#include "heap/walk.h"

extern const struct heap_walker heap_walker_mimalloc;

#endif
