#include "screen/order.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct sorting {
	const struct row *rows;
	unsigned column;
	bool reversed;
};

static int compare(const void *x, const void *y, void *arg)
{
	const struct sorting *s = arg;
	const struct row *a = &s->rows[*(const uint32_t *)x], *b = &s->rows[*(const uint32_t *)y];
	int64_t left = a->values[s->column], right = b->values[s->column];

	if (left == right)
		return a->key < b->key ? -1 : a->key > b->key;
	if (left == NO_VALUE || right == NO_VALUE)
		return left == NO_VALUE ? 1 : -1;
	return (left < right) == !s->reversed ? 1 : -1;
}

static bool has(const char *text, const char *wanted)
{
	return text && strcasestr(text, wanted);
}

/* Any frame's function, object or file. */
static bool stack_has(const struct stack *stack, const char *wanted)
{
	struct stack_walk walk = {.stack = stack};
	const struct frame_name *name;

	while (stack && (name = stack_next(&walk)))
		if (has(name->function, wanted) || has(name->module, wanted) || has(name->file, wanted))
			return true;
	return false;
}

static void filter(struct order *o, const struct model *m, const struct view *view, struct names *names)
{
	const struct row *rows = m->tables[view->pane].rows;
	size_t cnt = o->cnt < ORDER_TRIED_MAX ? o->cnt : ORDER_TRIED_MAX;

	o->cut = o->cnt > cnt;
	o->cnt = 0;
	for (size_t i = 0; i < cnt; i++) {
		const struct row *row = &rows[o->v[i]];

		stack_want(names, row->stack);
		if (pane_is_of_sites(view->pane) ? stack_has(row->stack, view->filter)
						 : has(model_process_text(m, row), view->filter))
			o->v[o->cnt++] = o->v[i];
	}
}

int order_make(struct order *o, const struct model *m, const struct view *view, struct names *names)
{
	const struct row_table *t = &m->tables[view->pane];
	const struct pane_view *p = &view->panes[view->pane];
	struct sorting sorting = {t->rows, p->sort, p->reversed};

	o->cnt = 0;
	o->cut = false;
	if (t->cnt > o->cap) {
		uint32_t *v = realloc(o->v, t->cnt * sizeof(*v));

		if (!v)
			return -ENOMEM;
		o->v = v;
		o->cap = t->cnt;
	}
	for (size_t i = 0; i < t->cnt; i++)
		o->v[o->cnt++] = (uint32_t)i;
	qsort_r(o->v, o->cnt, sizeof(*o->v), compare, &sorting);
	if (view->filter[0])
		filter(o, m, view, names);
	return 0;
}

void order_free(struct order *o)
{
	free(o->v);
	*o = (struct order){0};
}
