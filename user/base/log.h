/*
 * What the program says beside its report: warnings and, when asked for, notes.
 * Everything goes to one stream (stderr), one line each, prefixed with the program's name.
 */
#ifndef ALLOCTRACE_BASE_LOG_H
#define ALLOCTRACE_BASE_LOG_H

#include <stdbool.h>
#include <stdio.h>

struct log {
	FILE *out;
	bool verbose;
};

/* Always shown. */
void log_warn(const struct log *log, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Shown with --verbose only. */
void log_note(const struct log *log, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A line that the next one replaces, and only on a terminal; fmt NULL takes it away. */
void log_progress(const struct log *log, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
