/*
 * Lines and inlined calls by address out of DWARF. Its own index of units and, a unit at a time
 * when first asked for, of functions: .debug_aranges is often missing, and libdw's search in a
 * unit visits all of it each time. Hostile input.
 */
#ifndef ALLOCTRACE_STACK_DEBUG_LINES_H
#define ALLOCTRACE_STACK_DEBUG_LINES_H

#include <elfutils/libdw.h>
#include <stdint.h>

#include "stack/debuginfo.h"

struct debug_lines;

struct debug_lines *debug_lines_new(Dwarf *dwarf); /* which must outlive it. NULL: no memory */
void debug_lines_free(struct debug_lines *lines);  /* NULL-safe */
/* As debuginfo_calls, with an address of the DWARF's own. */
unsigned debug_lines_calls(struct debug_lines *lines, uint64_t addr, struct source_frame *v, unsigned max);

#endif
