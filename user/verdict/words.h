/* Names and plain facts of a snapshot in words, the same in every output form; what they come to is verdict.h. */
#ifndef ALLOCTRACE_VERDICT_WORDS_H
#define ALLOCTRACE_VERDICT_WORDS_H

#include "picture/snapshot.h"

#define VERDICT_MAX 320

/* The allocator that serves most of the process, as far as it is known; NULL: none found. */
const struct heap_allocator *verdict_serving(const struct snapshot *s);
/* What to call to have memory returned, or NULL. */
const char *verdict_purge_call(const struct snapshot *s);
#define VERDICT_ARGUMENT_MAX 32
/* What a purge's function was asked for, "arena.4096.purge"; NULL where its name says it all; returns buf. */
const char *verdict_purge_argument(const struct purge_finding *p, char buf[VERDICT_ARGUMENT_MAX]);
/* "glibc 2.36"; returns buf. */
const char *verdict_name(const struct heap_allocator *a, char *buf, size_t len);
/* Seconds since the heap state was taken; it must have been. */
double verdict_state_age(const struct snapshot *s);
/* What a purge would return, or why nobody knows: one line; returns buf. */
const char *verdict_sentence(const struct snapshot *s, char buf[VERDICT_MAX]);
/*
 * What a layer above the serving allocator keeps, and why: "pymalloc 3.11 keeps 358 MiB free in 400
 * arenas of 1.00 MiB, which go back only as a whole; …". Returns buf.
 */
const char *verdict_layer_keeps(const struct heap_allocator *a, char buf[VERDICT_MAX]);
/*
 * What a layer above the serving allocator keeps that no purge returns; NULL where that is less
 * than a tenth of all that is retained, or than 1 MiB. Returns buf.
 */
const char *verdict_layer(const struct snapshot *s, char buf[VERDICT_MAX]);

#endif
