/* What a snapshot says in words, the same in every output form. */
#ifndef ALLOCTRACE_REPORT_VERDICT_H
#define ALLOCTRACE_REPORT_VERDICT_H

#include "report/snapshot.h"

#define VERDICT_MAX 320

/* The allocator that serves most of the process, as far as it is known; NULL: none found. */
const struct heap_allocator *verdict_serving(const struct snapshot *s);
/* What to call to have memory returned, or NULL. */
const char *verdict_purge_call(const struct snapshot *s);
/* "glibc 2.36"; returns buf. */
const char *verdict_name(const struct heap_allocator *a, char *buf, size_t len);
/* Seconds since the heap state was taken; it must have been. */
double verdict_state_age(const struct snapshot *s);
/* What a purge would return, or why nobody knows: one line; returns buf. */
const char *verdict_sentence(const struct snapshot *s, char buf[VERDICT_MAX]);
/*
 * What a layer above the serving allocator keeps that no purge returns; NULL where that is less
 * than a tenth of all that is retained, or than 1 MiB. Returns buf.
 */
const char *verdict_layer(const struct snapshot *s, char buf[VERDICT_MAX]);

#endif
