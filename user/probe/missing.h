/* Lines that say what is not seen and why; each once, shown with every report. */
#ifndef ALLOCTRACE_PROBE_MISSING_H
#define ALLOCTRACE_PROBE_MISSING_H

#include <stddef.h>

struct missing;

struct missing *missing_new(void);
void missing_free(struct missing *missing); /* NULL-safe */
void missing_add(struct missing *missing, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Forgets what was said of a process that has become another program. */
void missing_clear(struct missing *missing);
size_t missing_lines(const struct missing *missing, const char *const **lines);

#endif
