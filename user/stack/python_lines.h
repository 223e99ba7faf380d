/*
 * Line tables of code objects, by version: Objects/lnotab_notes.txt (3.8 to 3.10) and
 * Objects/locations.md (3.11 and later; InternalDocs/code_objects.md) of CPython's sources.
 */
#ifndef ALLOCTRACE_STACK_PYTHON_LINES_H
#define ALLOCTRACE_STACK_PYTHON_LINES_H

#include <stddef.h>
#include <stdint.h>

/* The line of the instruction at byte offset at, or 0: it has none, or the table ends before. */
uint32_t python_line(uint32_t version, const uint8_t *table, size_t len, uint32_t first_line, uint32_t at);

#endif
