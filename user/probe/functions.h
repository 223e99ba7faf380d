/* The probed functions by number: what an attach cookie stands for. Grows, never shrinks. */
#ifndef ALLOCTRACE_PROBE_FUNCTIONS_H
#define ALLOCTRACE_PROBE_FUNCTIONS_H

#include <stdint.h>

#include "probe/tracer.h"

struct functions;

struct functions *functions_new(void);
void functions_free(struct functions *functions); /* NULL-safe */
/* Copies what fn points to. Its number (from 1), or 0: no memory. */
uint32_t functions_add(struct functions *functions, const struct traced_function *fn);
/* NULL: no such number. */
const struct traced_function *functions_get(const struct functions *functions, uint32_t number);
/* An object that was probed before it was mapped is known by another device number from then on. */
void functions_set_dev(struct functions *functions, dev_t from, uint64_t inode, dev_t to);

#endif
