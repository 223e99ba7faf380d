#include "probe/mark_point.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "probe/exits.h"
#include "probe/place.h"
#include "probe/plan.h"

/* Commands' marks are of that kind, unless they say otherwise. */
#define COMMANDS_KIND "mark"

static bool is_taken(const struct mark_points *points, const char *kind)
{
	for (size_t i = 0; i < points->cnt; i++)
		if (!strcmp(points->v[i].kind, kind))
			return true;
	return !strcmp(kind, COMMANDS_KIND);
}

static bool is_given(const struct mark_points *points, const char *given)
{
	for (size_t i = 0; i < points->cnt; i++)
		if (!strcmp(points->v[i].given, given))
			return true;
	return false;
}

int mark_points_add(struct mark_points *points, const char *given)
{
	const char *colon = strchr(given, ':');
	struct mark_point *point = &points->v[points->cnt];
	size_t len = colon ? (size_t)(colon - given) : 0;

	if (!colon || !colon[1] || strpbrk(colon + 1, " \t/") || len >= MARK_OBJECT_MAX)
		return -EINVAL;
	if (is_given(points, given))
		return 0;
	if (points->cnt == MARK_POINTS_MAX)
		return -ERANGE;
	memcpy(point->object, given, len);
	point->object[len] = '\0';
	point->symbol = colon + 1;
	point->given = given;
	point->kind = is_taken(points, point->symbol) ? given : point->symbol;
	points->cnt++;
	return 0;
}

bool mark_point_means(const struct mark_point *point, const char *path, bool program)
{
	size_t len = strlen(point->object);
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;

	if (!len)
		return program;
	if (strchr(point->object, '/'))
		return !strcmp(path, point->object);
	return !strncmp(name, point->object, len) && (!name[len] || name[len] == '.');
}

/* Any instruction before which every call passes will do: no argument is read. */
static int place(struct object *obj, const struct object_symbol *sym, struct traced_function *fn)
{
	struct place_args args = {.wanted = 0};
	size_t len;
	uint8_t *code = exits_code(obj, sym->file_offset, &len);

	if (!code)
		return -EIO;
	fn->entry = (uint32_t)place_entry(code, len, &args, &fn->why);
	fn->stepped = args.stepped;
	free(code);
	return 0;
}

/* 0, also if it cannot be placed; −ENOMEM. */
static int plan_point(const struct plan_context *ctx, struct object *obj, size_t i, struct plan *plan)
{
	const struct mark_point *point = &ctx->marks->v[i];
	struct object_symbol sym;
	struct traced_function fn = {
		.symbol = point->symbol,
		.shape = PROBE_MARK,
		.mark = point,
		.object = object_name(obj),
		.dev = object_dev(obj),
		.inode = object_inode(obj),
	};
	struct link_spot spot;

	plan->marks_named |= 1u << i;
	if (object_find_symbol(obj, point->symbol, &sym) || place(obj, &sym, &fn))
		return 0;
	fn.file_offset = sym.file_offset;
	spot = (struct link_spot){.offset = sym.file_offset + fn.entry};
	spot.cookie = functions_add(ctx->functions, &fn);
	log_note(ctx->log, "%s in %s: at +%" PRIu32 " (%s); a mark", point->symbol, fn.object, fn.entry,
		 fn.why);
	if (!spot.cookie || plan_add(plan, PLAN_MARK, &spot))
		return -ENOMEM;
	plan->marks_placed |= 1u << i;
	return 0;
}

int mark_points_plan(const struct plan_context *ctx, struct object *obj, bool program, struct plan *plan)
{
	int ret = 0;

	for (size_t i = 0; !ret && ctx->marks && i < ctx->marks->cnt; i++)
		if (mark_point_means(&ctx->marks->v[i], object_name(obj), program))
			ret = plan_point(ctx, obj, i, plan);
	return ret;
}
