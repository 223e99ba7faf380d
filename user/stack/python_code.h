/*
 * A Python code object as the kernel side caught it: its name, its file, and the line that an
 * instruction stands on. The bytes are the target's: hostile input.
 */
#ifndef ALLOCTRACE_STACK_PYTHON_CODE_H
#define ALLOCTRACE_STACK_PYTHON_CODE_H

#include <stddef.h>
#include <stdint.h>

#include "../bpf/event.h"

struct python_code {
	const char *name; /* printable; qualified from 3.11 on; "?" if it could not be read */
	const char *file; /* printable; one that was too long begins with "…" */
	uint32_t first_line;
	uint32_t version;
	uint32_t lines_len; /* bytes of the line table */
	uint8_t lines[];
};

/* Of a decoded event; owns all that it points to. NULL: no memory. */
struct python_code *python_code_new(const struct event_code *ev);
void python_code_free(struct python_code *code); /* NULL-safe */

/* The line of the instruction at a byte offset, as a frame's f_lineno says it; 0: none, or not known. */
uint32_t python_code_line(const struct python_code *code, int32_t at);

/* Printable UTF-8 of a text into buf[size]; returns buf. EVENT_TEXT_MAX · 3 + 8 bytes hold any. */
const char *python_text_decode(const struct event_text *text, char *buf, size_t size);

#endif
