/*
 * CPython's garbage collector: the SDT probes of its own that an interpreter may have been built with
 * (--with-dtrace).
 */
#ifndef ALLOCTRACE_PROBE_PYTHON_GC_H
#define ALLOCTRACE_PROBE_PYTHON_GC_H

#include "probe/plan.h"

/*
 * Adds python:gc__start and gc__done to the plan of an object that is a CPython; that it has none is a
 * missing line. 0 or −ENOMEM.
 */
int python_gc_plan(const struct plan_context *ctx, struct object *obj, struct plan *plan);

#endif
