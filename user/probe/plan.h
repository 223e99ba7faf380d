/*
 * Which functions of an object are probed, where in it, and by which kind of program: the
 * allocators' and libc's rows applied to its symbols.
 */
#ifndef ALLOCTRACE_PROBE_PLAN_H
#define ALLOCTRACE_PROBE_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "probe/functions.h"
#include "probe/link.h"
#include "probe/mark_point.h"
#include "probe/missing.h"
#include "target/object.h"

/*
 * In the order of attaching: a call's end is probed before its begin; frees before allocations,
 * since links take some 10 ms each, and a block must not be recorded whose free is missed.
 */
enum plan_role {
	PLAN_PURGE_EXIT,
	PLAN_MEMORY_EXIT,
	PLAN_LOADER_EXIT,
	PLAN_ALLOC_EXIT,
	PLAN_GC_DONE,
	PLAN_GC_START,
	PLAN_PURGE,  /* entry and, where return probes are used, return */
	PLAN_MEMORY, /* likewise */
	PLAN_OPEN,
	PLAN_CLOSE,
	PLAN_LOADED,
	PLAN_MARK,
	PLAN_OWN_FREE,     /* where an allocator calls its own free anew */
	PLAN_FREE,
	PLAN_ALLOC,        /* entry and, where return probes are used, return */
	PLAN_ALLOC_THROWS, /* entry only: no return probe on what may throw */
	PLAN_OBJECT,       /* where Python's objects are born and die: one link, opened and closed apart from all others */
	PLAN_ROLE_CNT
};

/* Whether it is one of allocation functions: these may be left out, or removed alone. */
static inline bool plan_role_allocs(enum plan_role role)
{
	return role == PLAN_ALLOC_EXIT || role == PLAN_ALLOC || role == PLAN_ALLOC_THROWS ||
	       role == PLAN_OWN_FREE || role == PLAN_FREE;
}

struct plan_spot {
	enum plan_role role;
	struct link_spot at;
};

struct plan {
	struct plan_spot *v;
	size_t cnt, cap;
	uint32_t marks_named, marks_placed; /* bit i: point i of the context's means this object; … and is in the plan */
};

/* What planning reads and adds to beside the plan. */
struct plan_context {
	const struct log *log;
	struct functions *functions;
	struct missing *missing;
	bool return_probes;
	bool allocs; /* allocation functions too */
	bool objects; /* … and Python's objects */
	const struct allocator *const *more; /* beside the known ones: allocator_nth */
	const struct mark_points *marks;     /* NULL: none */
};

/*
 * Plans one object; an empty plan if it holds nothing of ours. What it holds but cannot be
 * placed is a missing line. program: it is what a process runs. 0 or −ENOMEM.
 */
int plan_object(const struct plan_context *ctx, struct object *obj, bool program, struct plan *plan);
/* Adds a spot, unless the role has one at that offset already: several names of one function collapse. 0 or −ENOMEM. */
int plan_add(struct plan *plan, enum plan_role role, const struct link_spot *spot);
void plan_free(struct plan *plan); /* idempotent */

/* Whether the object, by its name, is an allocator or C library worth opening though it is not mapped. */
bool plan_wants_file(const char *file_name);

#endif
