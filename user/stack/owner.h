/*
 * Whose code an address of the target is: an allocator's own, as far as it can be told. A library
 * of its own name is wholly its; in a program that an allocator is linked into, and in a C library,
 * a symbol tells, and where there is none it is the one allocator that is in there.
 */
#ifndef ALLOCTRACE_STACK_OWNER_H
#define ALLOCTRACE_STACK_OWNER_H

#include <stdint.h>

#include "probe/allocator.h"
#include "stack/addresses.h"

struct owners;

/* more: allocators beside the known ones (allocator_nth). Both must outlive it. NULL: no memory. */
struct owners *owners_new(struct addresses *addresses, const struct allocator *const *more);
void owners_free(struct owners *owners); /* NULL-safe */
/* What a call that returns to addr was made by; NULL: no allocator that is known. */
const struct allocator *owners_find(struct owners *owners, uint64_t addr);

#endif
