/*
 * gperftools' tcmalloc, 2.8 to 2.18, x86-64.
 *
 *   gperftools.c         find and walk: assembles the parts below
 *   gperftools_locate.c  the page map, the size classes and the thread caches in writable data
 *   gperftools_spans.c   every span that the page map knows, and what it amounts to
 *   gperftools_caches.c  what threads keep, and what is on the way between them
 *   gperftools_heap.h    what these share
 *
 * All memory that it has from the kernel for blocks is spans of pages (8 KiB by default): a
 * large block each, or blocks of one size, or free. A purge returns the free ones. What it keeps
 * about them itself lies elsewhere and is counted by the pages that are known to hold it.
 */
#ifndef ALLOCTRACE_HEAP_GPERFTOOLS_H
#define ALLOCTRACE_HEAP_GPERFTOOLS_H

#include "heap/walk.h"

extern const struct heap_walker heap_walker_gperftools;

#endif
