/* CPython's small objects: the places in an interpreter's code where they are born and die (pool_code.h). */
#ifndef ALLOCTRACE_PROBE_PYTHON_OBJECTS_H
#define ALLOCTRACE_PROBE_PYTHON_OBJECTS_H

#include "probe/plan.h"

/*
 * Adds PLAN_OBJECT to the plan of an object that carries a CPython; that its places are not found is a missing
 * line. Reads its code once: 50-100 ms. 0 or −ENOMEM.
 */
int python_objects_plan(const struct plan_context *ctx, struct object *obj, struct plan *plan);

#endif
