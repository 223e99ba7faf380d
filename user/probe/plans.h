/* The plans of files, each made once, whichever processes map it. */
#ifndef ALLOCTRACE_PROBE_PLANS_H
#define ALLOCTRACE_PROBE_PLANS_H

#include "probe/missing.h"
#include "probe/plan.h"

struct plans;

/* What ctx points to must outlive it; its missing is not used. NULL: no memory. */
struct plans *plans_new(const struct plan_context *ctx);
void plans_free(struct plans *plans); /* NULL-safe */
/*
 * The plan of an object's file, valid until plans_free; what it says is not seen is added to
 * missing. program: as plan_object wants it. NULL: no memory.
 */
const struct plan *plans_get(struct plans *plans, struct object *obj, bool program, struct missing *missing);

#endif
