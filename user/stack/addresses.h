/*
 * The code addresses of one process: which place in which module each is (stack/location.h), found
 * by its mappings while it lives and by the last that could be read when it has ended.
 */
#ifndef ALLOCTRACE_STACK_ADDRESSES_H
#define ALLOCTRACE_STACK_ADDRESSES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "stack/location.h"

struct addresses;

/* locations must outlive it. NULL: no memory. */
struct addresses *addresses_new(struct locations *locations, pid_t pid);
/*
 * Of a child that has just been forked, and has not exec'd as far as is known: where it has ended
 * already its parent's mappings are its.
 */
struct addresses *addresses_fork(struct addresses *parent, pid_t pid);
void addresses_free(struct addresses *a); /* NULL-safe; what it found stays the locations' */
/* The process mapped or unmapped objects (dlopen): look again. */
void addresses_stale(struct addresses *a);
/* It runs another program: what was mapped is gone. */
void addresses_exec(struct addresses *a);
/* Never NULL. */
struct location *addresses_get(struct addresses *a, uint64_t addr);
/* Whether addr lies in the C library (by the name of its file). */
bool addresses_in_libc(struct addresses *a, uint64_t addr);
struct locations *addresses_locations(const struct addresses *a);

#endif
