#include "probe/outlook.h"

#include <errno.h>
#include <stdlib.h>

#include "probe/exits.h"
#include "probe/plan.h"

/* Hits of one call: a ret cannot be emulated (place.c), so each exit is single-stepped. */
static double cost_of(const struct probe_cost *cost, const struct traced_function *fn)
{
	double ns;

	if (!cost)
		return -1;
	if (fn->return_probe)
		ns = cost->call;
	else if (fn->exit_cnt)
		ns = 2 * cost->entry + cost->stepped;
	else
		ns = cost->entry;
	return ns + (fn->stepped ? cost->stepped : 0);
}

static int add_probe(struct outlook *outlook, const struct outlook_options *options, struct object *obj,
		     const struct traced_function *fn)
{
	struct outlook_probe *v = reallocarray(outlook->v, outlook->cnt + 1, sizeof(*v)), *probe;
	size_t len = 0;
	uint8_t *code;

	if (!v)
		return -ENOMEM;
	outlook->v = v;
	probe = &v[outlook->cnt++];
	*probe = (struct outlook_probe){.function = fn, .cost = cost_of(options->cost, fn)};
	code = exits_code(obj, fn->file_offset, &len);
	place_text(code, len, fn->entry, probe->instruction);
	free(code);
	return 0;
}

/* What the object's plan has added to the functions. */
static int add_object(struct outlook *outlook, const struct outlook_options *options,
		      const struct plan_context *ctx, struct object *obj, uint32_t *number)
{
	struct plan plan = {.v = NULL};
	const struct traced_function *fn;
	int ret = plan_object(ctx, obj, false, &plan);

	for (; !ret && (fn = functions_get(outlook->functions, *number)); ++*number)
		ret = add_probe(outlook, options, obj, fn);
	plan_free(&plan);
	return ret;
}

/* As attaching takes them: code of files, each once. */
static bool is_new_code(const struct maps *maps, size_t i)
{
	const struct mapping *m = &maps->v[i];

	if (!m->exec || !m->inode)
		return false;
	for (size_t k = 0; k < i; k++)
		if (maps->v[k].exec && maps->v[k].inode == m->inode && maps->v[k].dev == m->dev)
			return false;
	return true;
}

int outlook_make(const struct outlook_options *options, const struct maps *maps, struct objects *objects,
		 struct outlook *outlook)
{
	struct plan_context ctx = {
		.log = options->log,
		.return_probes = options->return_probes,
		.allocs = true,
		.more = options->more,
	};
	uint32_t number = 1;
	int ret = 0;

	*outlook = (struct outlook){.functions = functions_new(), .missing = missing_new()};
	ctx.functions = outlook->functions;
	ctx.missing = outlook->missing;
	if (!ctx.functions || !ctx.missing)
		return -ENOMEM;
	for (size_t i = 0; !ret && i < maps->cnt; i++) {
		struct object *obj = is_new_code(maps, i) ? objects_get(objects, &maps->v[i]) : NULL;

		if (obj)
			ret = add_object(outlook, options, &ctx, obj, &number);
	}
	return ret;
}

void outlook_free(struct outlook *outlook)
{
	functions_free(outlook->functions);
	missing_free(outlook->missing);
	free(outlook->v);
	*outlook = (struct outlook){.v = NULL};
}
