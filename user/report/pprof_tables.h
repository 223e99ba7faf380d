/*
 * The tables of a profile that its samples refer to: texts, mappings, functions, locations. Each
 * thing has a number from when it is first asked for; they are written at the end.
 */
#ifndef ALLOCTRACE_REPORT_PPROF_TABLES_H
#define ALLOCTRACE_REPORT_PPROF_TABLES_H

#include <stdint.h>

#include "stack/location.h"

#include "pprof.pb-c.h"

struct pprof_tables;

/* program: what the process is called, whose object is to be the first mapping. NULL: no memory. */
struct pprof_tables *pprof_tables_new(const char *program);
void pprof_tables_free(struct pprof_tables *tables); /* NULL-safe */

/* The index of a text, made printable; "" (0) for NULL, and without memory. */
int64_t pprof_text(struct pprof_tables *tables, const char *text);
/* The number of a location, from 1; 0 without memory. Locations must outlive the tables. */
uint64_t pprof_location(struct pprof_tables *tables, const struct location *at);
/* Of one that is no place in code: a function of that name, which must outlive the tables. */
uint64_t pprof_named(struct pprof_tables *tables, const char *name);

/*
 * All of them, in pieces of a profile that put takes. 0, or −ENOMEM also where any of the above had
 * none.
 */
int pprof_tables_put(struct pprof_tables *tables, void (*put)(const Pprof__Profile *piece, void *arg), void *arg);

#endif
