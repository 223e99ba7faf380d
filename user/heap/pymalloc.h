/*
 * pymalloc, CPython's allocator for objects of up to 512 bytes, from 3.8 to 3.15, x86-64.
 *
 * A layer beside the allocator that serves malloc: its arenas are mapped from the kernel, and
 * go back as a whole once no pool of theirs has a block in use. No call of any purge does that.
 *
 *   pymalloc.c         find and walk: assembles the parts below
 *   pymalloc_locate.c  usedpools and arenas in an object's data, and the layout they have
 *   pymalloc_arenas.c  the list of arenas, verified as a whole
 *   pymalloc_pools.c   one arena: what its pools' headers and its pages amount to
 *   pymalloc_interp.c  interpreters with arenas of their own, from 3.13 on
 *   pymalloc_heap.h    what these share
 */
#ifndef ALLOCTRACE_HEAP_PYMALLOC_H
#define ALLOCTRACE_HEAP_PYMALLOC_H

#include "heap/walk.h"

extern const struct heap_walker heap_walker_pymalloc;

#endif
