/*
 * glibc's ptmalloc2, from 2.17 to 2.43, dynamic and static, x86-64.
 *
 *   glibc.c         find and walk: assembles the parts below
 *   glibc_layout.c  rows: struct offsets by version, with their sources
 *   glibc_locate.c  main_arena and mp_ in writable data, and which row it is
 *   glibc_arena.c   one arena: its pieces or heaps, and whether it adds up
 *   glibc_chunks.c  one chain of chunks, with checkpoints
 *   glibc_runs.c    what it amounts to: what a trim would return, what stays
 *   glibc_cache.c   fastbins and tcache
 *   glibc_mmapped.c blocks with a mapping of their own
 *   glibc_pages.c   what pages of anonymous memory begin with
 *   glibc_heap.h    what these share
 */
#ifndef ALLOCTRACE_HEAP_GLIBC_H
#define ALLOCTRACE_HEAP_GLIBC_H

#include "heap/walk.h"

extern const struct heap_walker heap_walker_glibc;

#endif
