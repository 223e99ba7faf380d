#include "report/stack_steps.h"

#include <errno.h>
#include <stdlib.h>

/* By the form's number; room for one that is new. */
static uint32_t *row_of(struct stack_steps *t, uint32_t number)
{
	uint32_t cap = t->row_of_cap ? t->row_of_cap : 1024;
	uint32_t *v;

	while (cap <= number)
		cap = cap < UINT32_MAX / 2 ? cap * 2 : UINT32_MAX;
	if (cap == t->row_of_cap)
		return &t->row_of[number];
	v = calloc(cap, sizeof(*v));
	if (!v)
		return NULL;
	for (uint32_t i = 0; i < t->row_of_cap; i++)
		v[i] = t->row_of[i];
	free(t->row_of);
	t->row_of = v;
	t->row_of_cap = cap;
	return &t->row_of[number];
}

static int room_for_row(struct stack_steps *t)
{
	size_t cap = t->row_cap ? 2 * t->row_cap : 256;
	struct stack_row *rows;

	if (t->row_cnt < t->row_cap)
		return 0;
	rows = realloc(t->rows, cap * sizeof(*rows));
	if (!rows)
		return -ENOMEM;
	t->rows = rows;
	t->row_cap = cap;
	return 0;
}

/* Sites of the history are mostly those of the snapshot: they need not be numbered once more. 0: not known.
 */
static uint32_t known_row(const struct stack_steps *t, const struct stack *stack)
{
	uint32_t row = stack ? (uint32_t)(uintptr_t)map_get(&t->known, stack_hash(stack)) : 0;

	return row && stack_is_same(t->rows[row - 1].stack, stack) ? row : 0;
}

/* The row of a stack, from 1 on, which is new if need be. */
static int get_row(struct stack_steps *t, const struct stack *stack, stack_number_fn fn, void *form,
		   uint32_t *row)
{
	uint32_t number, *at;
	int rc;

	*row = known_row(t, stack);
	rc = *row ? 0 : fn(form, stack, &number);
	if (rc || *row)
		return rc;
	at = row_of(t, number);
	if (!at || room_for_row(t))
		return -ENOMEM;
	if (!*at) {
		t->rows[t->row_cnt++] = (struct stack_row){.stack = stack, .number = number};
		*at = (uint32_t)t->row_cnt;
		rc = stack ? map_set(&t->known, stack_hash(stack), (void *)(uintptr_t)*at) : 0;
	}
	*row = *at;
	return rc;
}

static int add_sites(struct stack_steps *t, stack_number_fn fn, void *form)
{
	const struct allocation_view *a = t->s->allocs;
	uint32_t row;
	int rc = 0;

	for (size_t i = 0; i < a->site_cnt && !rc; i++) {
		const struct site_view *view = &a->sites[i];
		struct stack_row *r;

		rc = get_row(t, view->stack, fn, form, &row);
		if (rc)
			break;
		r = &t->rows[row - 1];
		site_count_add(&r->all_allocated, view->figures->allocated);
		site_count_add(&r->last_live, view->figures->live);
		site_count_add(&r->peak, view->peak);
		site_count_add(&r->temporary, view->figures->temporary);
	}
	return rc;
}

static int add_history(struct stack_steps *t, stack_number_fn fn, void *form)
{
	const struct history_view *h = &t->history;
	int rc = 0;

	t->row_of_site = calloc(h->site_cnt ? h->site_cnt : 1, sizeof(*t->row_of_site));
	if (!t->row_of_site)
		return -ENOMEM;
	for (size_t i = 0; i < h->site_cnt && !rc; i++)
		rc = get_row(t, h->sites[i], fn, form, &t->row_of_site[i]);
	return rc;
}

int stack_steps_begin(struct stack_steps *t, const struct snapshot *s, stack_number_fn fn, void *form)
{
	int rc;

	*t = (struct stack_steps){.s = s};
	if (s->history)
		history_view(s->history, &t->history);
	t->step_cnt = t->history.step_cnt ? t->history.step_cnt : 1;
	rc = add_sites(t, fn, form);
	rc = rc ?: add_history(t, fn, form);
	t->changed = rc ? NULL : calloc(t->row_cnt ? t->row_cnt : 1, sizeof(*t->changed));
	return rc ?: t->changed ? 0 : -ENOMEM;
}

void stack_steps_free(struct stack_steps *t)
{
	free(t->rows);
	free(t->changed);
	free(t->row_of);
	free(t->row_of_site);
	map_free(&t->known);
	*t = (struct stack_steps){0};
}

uint64_t stack_steps_next_end(const struct stack_steps *t)
{
	if (t->step + 1 < t->step_cnt)
		return t->history.step_ends[t->step];
	return t->step < t->step_cnt ? t->s->time_ns : 0;
}

static void note_change(struct stack_steps *t, uint32_t row)
{
	if (t->rows[row].changed_in != t->step)
		t->changed[t->changed_cnt++] = row;
	t->rows[row].changed_in = t->step;
}

/* What falls to no row (a process has left the sum) is never below zero. */
static uint64_t moved(uint64_t from, int64_t by)
{
	return by < 0 && from < (uint64_t)-by ? 0 : from + (uint64_t)by;
}

static void go_by_history(struct stack_steps *t)
{
	const struct history_view *h = &t->history;

	for (; t->change < h->change_cnt && h->changes[t->change].step < t->step; t->change++) {
		const struct history_change *c = &h->changes[t->change];
		uint32_t row = t->row_of_site[c->site] - 1;
		struct stack_row *r = &t->rows[row];

		r->allocated.cnt += c->allocs;
		r->allocated.bytes += c->allocated;
		r->live.cnt = moved(r->live.cnt, c->live_blocks);
		r->live.bytes = moved(r->live.bytes, c->live);
		note_change(t, row);
	}
}

static bool is_same(struct site_count a, struct site_count b)
{
	return a.cnt == b.cnt && a.bytes == b.bytes;
}

static uint64_t most(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* What was allocated never becomes less. */
static void go_to_the_end(struct stack_steps *t)
{
	for (size_t i = 0; i < t->row_cnt; i++) {
		struct stack_row *r = &t->rows[i];

		if (is_same(r->allocated, r->all_allocated) && is_same(r->live, r->last_live))
			continue;
		r->allocated.cnt = most(r->allocated.cnt, r->all_allocated.cnt);
		r->allocated.bytes = most(r->allocated.bytes, r->all_allocated.bytes);
		r->live = r->last_live;
		note_change(t, (uint32_t)i);
	}
}

bool stack_steps_next(struct stack_steps *t)
{
	if (t->step == t->step_cnt)
		return false;
	t->end_ns = stack_steps_next_end(t);
	t->step++;
	t->changed_cnt = 0;
	if (t->step < t->step_cnt)
		go_by_history(t);
	else
		go_to_the_end(t);
	return true;
}
