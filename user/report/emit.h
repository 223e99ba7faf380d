/* From a finished text to a stream: at once, flushed, with the stream's own error. */
#ifndef ALLOCTRACE_REPORT_EMIT_H
#define ALLOCTRACE_REPORT_EMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct snapshot;

/* 0, or −errno. */
int emit_bytes(FILE *out, const char *bytes, size_t len);
/*
 * Lets form write into memory and emits that: half a report is never seen, and writing to
 * memory fails for one reason only. form returns 0 or −errno.
 */
int emit_form(FILE *out, int (*form)(FILE *mem, const struct snapshot *s, bool colour),
	      const struct snapshot *s, bool colour);

#endif
