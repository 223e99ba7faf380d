/*
 * jemalloc 5.3, with any prefix and in any object, x86-64.
 *
 *   jemalloc.c         find and walk: assembles the parts below
 *   jemalloc_layout.c  rows: the tree's shape, an extent's struct, size classes, with their sources
 *   jemalloc_locate.c  the tree of extents in writable data, and which row it is
 *   jemalloc_tree.c    every extent that the tree knows, in order of address
 *   jemalloc_arenas.c  the arenas and what each took for its own structures
 *   jemalloc_cache.c   thread caches
 *   jemalloc_extents.c what an extent amounts to: what a purge would return, what stays
 *   jemalloc_heap.h    what these share
 *
 * Everything that jemalloc has from the kernel is an extent in one radix tree, whichever arena
 * it belongs to: slabs of small regions, large blocks, and free extents that are dirty, muzzy
 * (MADV_FREE'd) or retained (address space whose pages have been given back).
 */
#ifndef ALLOCTRACE_HEAP_JEMALLOC_H
#define ALLOCTRACE_HEAP_JEMALLOC_H

#include "heap/walk.h"

extern const struct heap_walker heap_walker_jemalloc;

#endif
