/*
 * Which allocators are in a process, and which of them its allocations reach. Evidence, not
 * assumption: the call slots (GOT) of the loaded objects for malloc and its kin are read
 * from the target, and where they point decides. A slot that was never called through
 * points back into its own object and says nothing.
 */
#ifndef ALLOCTRACE_HEAP_SERVING_H
#define ALLOCTRACE_HEAP_SERVING_H

#include <stdbool.h>
#include <stddef.h>

#include "probe/allocator.h"
#include "target/maps.h"
#include "target/memory.h"
#include "target/objects.h"

#define SERVING_MAX 16 /* allocators told apart in one process */

struct serving {
	const struct allocator *kind;
	const struct mapping *object; /* a mapping of the object that holds it; lives as long as the maps */
	bool reached;                 /* some call slot points into it, or it is linked into what calls it */
};

/*
 * Fills found[SERVING_MAX]; returns how many allocators the process holds. more: beside the
 * known ones (allocator_nth).
 */
size_t serving_find(const struct maps *maps, struct objects *objects, struct memory *mem,
		    const struct allocator *const *more, struct serving found[SERVING_MAX]);

#endif
