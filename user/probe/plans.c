#include "probe/plans.h"

#include <stdlib.h>
#include <sys/stat.h>

/* A file is the same as long as nobody has written to it: a number may come again. */
struct file_id {
	dev_t dev;
	ino_t inode;
	struct timespec changed;
};

struct planned {
	struct file_id file;
	bool program;
	struct plan plan;
	struct missing *missing;
};

struct plans {
	struct plan_context ctx;
	struct planned **v; /* each apart: their plans are given out */
	size_t cnt, cap;
};

struct plans *plans_new(const struct plan_context *ctx)
{
	struct plans *plans = calloc(1, sizeof(*plans));

	if (plans)
		plans->ctx = *ctx;
	return plans;
}

static void planned_free(struct planned *planned)
{
	plan_free(&planned->plan);
	missing_free(planned->missing);
	free(planned);
}

void plans_free(struct plans *plans)
{
	if (!plans)
		return;
	for (size_t i = 0; i < plans->cnt; i++)
		planned_free(plans->v[i]);
	free(plans->v);
	free(plans);
}

static bool is_file(const struct file_id *a, const struct file_id *b)
{
	return a->inode == b->inode && a->dev == b->dev && a->changed.tv_sec == b->changed.tv_sec &&
	       a->changed.tv_nsec == b->changed.tv_nsec;
}

static int make_room(struct plans *plans)
{
	size_t cap = plans->cap ? 2 * plans->cap : 64;
	struct planned **v;

	if (plans->cnt < plans->cap)
		return 0;
	v = realloc(plans->v, cap * sizeof(struct planned *));
	if (!v)
		return -1;
	plans->v = v;
	plans->cap = cap;
	return 0;
}

static struct planned *plan_file(struct plans *plans, const struct file_id *file, struct object *obj,
				 bool program)
{
	struct planned *planned = make_room(plans) ? NULL : calloc(1, sizeof(*planned));
	struct plan_context ctx = plans->ctx;

	if (!planned)
		return NULL;
	planned->file = *file;
	planned->program = program;
	planned->missing = ctx.missing = missing_new();
	if (!planned->missing || plan_object(&ctx, obj, program, &planned->plan)) {
		planned_free(planned);
		return NULL;
	}
	plans->v[plans->cnt++] = planned;
	return planned;
}

static void repeat_missing(const struct missing *from, struct missing *to)
{
	const char *const *lines;
	size_t cnt = missing_lines(from, &lines);

	for (size_t i = 0; i < cnt; i++)
		missing_add(to, "%s", lines[i]);
}

const struct plan *plans_get(struct plans *plans, struct object *obj, bool program, struct missing *missing)
{
	struct planned *planned = NULL;
	struct file_id file = {.dev = 0};
	struct stat st;

	if (!stat(object_access_path(obj), &st))
		file = (struct file_id){st.st_dev, st.st_ino, st.st_ctim};
	for (size_t i = 0; file.inode && i < plans->cnt && !planned; i++)
		if (plans->v[i]->program == program && is_file(&plans->v[i]->file, &file))
			planned = plans->v[i];
	if (!planned)
		planned = plan_file(plans, &file, obj, program);
	if (!planned)
		return NULL;
	repeat_missing(planned->missing, missing);
	return &planned->plan;
}
