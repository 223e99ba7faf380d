#include "probe/python_gc.h"

#include <errno.h>
#include <inttypes.h>

#include "probe/sdt_argument.h"
#include "target/sdt.h"

#define PLACES_MAX 8 /* of one probe: as often as its function was inlined */

/* The end before the begin, as roles are attached. Each has one argument (CPython's Include/pydtrace.d). */
static const struct {
	const char *name;
	enum plan_role role;
} probes[] = {
	{"gc__done", PLAN_GC_DONE},   /* objects found */
	{"gc__start", PLAN_GC_START}, /* generation */
};

/* A function of its API that every version exports, be the interpreter a program or a library. */
static bool is_cpython(struct object *obj)
{
	struct object_symbol sym;

	return !object_find_symbol(obj, "PyGC_Collect", &sym);
}

static int plan_places(const struct plan_context *ctx, struct object *obj, size_t probe, struct plan *plan)
{
	struct sdt_probe found[PLACES_MAX];
	size_t cnt = sdt_find(obj, "python", probes[probe].name, found, PLACES_MAX);
	int ret = cnt ? 0 : -ENOENT;

	for (size_t i = 0; !ret && i < cnt; i++) {
		struct link_spot spot = {.offset = found[i].offset, .semaphore = found[i].semaphore};

		ret = sdt_argument(found[i].arguments, 1, &spot.cookie);
		log_note(ctx->log, "python:%s in %s: at %#" PRIx64 ", argument %s", probes[probe].name,
			 object_name(obj), spot.offset, found[i].arguments);
		if (!ret)
			ret = plan_add(plan, probes[probe].role, &spot);
	}
	return ret;
}

int python_gc_plan(const struct plan_context *ctx, struct object *obj, struct plan *plan)
{
	size_t planned = plan->cnt;
	int ret = 0;

	if (!is_cpython(obj))
		return 0;
	for (size_t i = 0; !ret && i < sizeof(probes) / sizeof(probes[0]); i++)
		ret = plan_places(ctx, obj, i, plan);
	if (!ret || ret == -ENOMEM)
		return ret;
	plan->cnt = planned; /* one without the other tells nothing */
	missing_add(ctx->missing, "collections of Python's garbage collector: %s %s", object_name(obj),
		    ret == -ENOENT ? "was built without its probes (--with-dtrace)"
				   : "has probes whose arguments are not read here");
	return 0;
}
