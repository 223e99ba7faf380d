#include "report/diff.h"

#include <errno.h>
#include <stdlib.h>

#include "base/map.h"
#include "report/stack_keys.h"

const char *const diff_by_names[DIFF_BY_CNT] = {
	[DIFF_BY_NOTHING] = "nothing",
	[DIFF_BY_TIME] = "time",
	[DIFF_BY_MARKS] = "marks",
	[DIFF_BY_ALLOCATIONS] = "allocations",
};

/* What is needed of a row only while it is matched. */
struct candidate {
	struct stack_key whole, lineless;
	uint32_t same_hash; /* the next row; DIFF_NONE */
	bool taken;         /* it has become part of another */
};

struct matching {
	struct diff *diff;
	struct stack_keys *keys;
	struct candidate *candidates; /* by row */
	struct map known;             /* half a key → row + 1, the first of those with it */
};

/* --- Scale --- */

static double extent(const struct snapshot *s, enum diff_by by)
{
	if (by == DIFF_BY_TIME)
		return (double)(s->time_ns - s->started_ns);
	if (by == DIFF_BY_MARKS)
		return (double)s->marks_total;
	return s->allocs ? (double)s->allocs->totals.allocated.cnt : 0;
}

static int set_factor(struct diff *d, struct error *err)
{
	static const char *const words[] = {[DIFF_BY_TIME] = "time has passed",
					    [DIFF_BY_MARKS] = "mark",
					    [DIFF_BY_ALLOCATIONS] = "allocation"};
	enum diff_by by = d->options.by;
	double of[2];

	d->factor = 1;
	if (by == DIFF_BY_NOTHING)
		return 0;
	for (int i = 0; i < 2; i++) {
		of[i] = extent(d->side[i].snapshot, by);
		if (!(of[i] > 0))
			return error_set(err, -EINVAL, "cannot compare by %s: there is no %s in %s",
					 diff_by_names[by], words[by], d->side[i].name);
	}
	d->factor = of[1] / of[0];
	return 0;
}

uint64_t diff_scaled(const struct diff *d, uint64_t figure)
{
	double scaled = (double)figure * d->factor + 0.5;

	if (d->options.by == DIFF_BY_NOTHING || figure == UNKNOWN)
		return figure;
	return scaled < 0x1p63 ? (uint64_t)scaled : UNKNOWN - 1;
}

int64_t diff_change(uint64_t a, uint64_t b)
{
	uint64_t by = a < b ? b - a : a - b;
	int64_t change = by > INT64_MAX ? INT64_MAX : (int64_t)by;

	return a < b ? change : -change;
}

static const struct site_view *view_of(const struct diff *d, unsigned side, uint32_t at)
{
	return &d->side[side].snapshot->allocs->sites[at];
}

uint64_t diff_figure(const struct diff *d, const struct diff_row *row, unsigned side, enum site_weight weight)
{
	uint64_t sum = 0;

	for (uint32_t at = row->first[side]; at != DIFF_NONE; at = d->next[side][at])
		sum += weight_of(&d->weights[side], view_of(d, side, at), weight);
	return side || weight == WEIGHT_PINNED || weight == WEIGHT_RETAINED ? sum : diff_scaled(d, sum);
}

bool diff_knows(const struct diff *d, unsigned side, enum site_weight weight)
{
	return weight_is_known(&d->weights[side], weight);
}

/* --- Matching --- */

static struct stack_key key_of(const struct candidate *c, bool lines)
{
	return lines ? c->whole : c->lineless;
}

/* The row with that key; DIFF_NONE: none yet. */
static uint32_t find_row(const struct matching *m, const struct candidate *c, bool lines)
{
	uint32_t at = (uint32_t)(uintptr_t)map_get(&m->known, key_of(c, lines).v[0]) - 1;

	while (at != DIFF_NONE && !stack_key_is(key_of(&m->candidates[at], lines), key_of(c, lines)))
		at = m->candidates[at].same_hash;
	return at;
}

static int note_row(struct matching *m, uint32_t at, bool lines)
{
	uint64_t half = key_of(&m->candidates[at], lines).v[0];

	m->candidates[at].same_hash = (uint32_t)(uintptr_t)map_get(&m->known, half) - 1;
	return map_set(&m->known, half, (void *)((uintptr_t)at + 1));
}

/* Puts a site into the row of its frames, which is new if need be. */
static int add_site(struct matching *m, unsigned side, uint32_t site)
{
	struct diff *d = m->diff;
	const struct stack *stack = view_of(d, side, site)->stack;
	struct candidate c = {.same_hash = DIFF_NONE};
	uint32_t at;

	if (stack_keys_of(m->keys, stack, &c.whole, &c.lineless))
		return -ENOMEM;
	at = find_row(m, &c, true);
	if (at == DIFF_NONE) {
		at = (uint32_t)d->cnt++;
		d->rows[at] = (struct diff_row){.stack = stack, .first = {DIFF_NONE, DIFF_NONE}};
		m->candidates[at] = c;
		if (note_row(m, at, true))
			return -ENOMEM;
	}
	d->next[side][site] = d->rows[at].first[side];
	d->rows[at].first[side] = site;
	return 0;
}

static bool is_only(const struct diff_row *row, unsigned side)
{
	return row->first[side] != DIFF_NONE && row->first[!side] == DIFF_NONE;
}

/* All sites of one row become another's. */
static void absorb(struct matching *m, uint32_t into, uint32_t from)
{
	struct diff *d = m->diff;

	if (is_only(&d->rows[from], 1))
		d->rows[into].stack = d->rows[from].stack;
	for (unsigned side = 0; side < 2; side++) {
		uint32_t *end = &d->rows[from].first[side];

		while (*end != DIFF_NONE)
			end = &d->next[side][*end];
		*end = d->rows[into].first[side];
		d->rows[into].first[side] = d->rows[from].first[side];
	}
	d->rows[into].match = DIFF_OTHER_LINES;
	m->candidates[from].taken = true;
}

/* Of those that are only in A, one for all that differ by lines alone. */
static int note_lineless(struct matching *m)
{
	const struct diff *d = m->diff;

	map_free(&m->known);
	for (uint32_t i = 0; i < d->cnt; i++) {
		if (is_only(&d->rows[i], 0) && find_row(m, &m->candidates[i], false) == DIFF_NONE &&
		    note_row(m, i, false))
			return -ENOMEM;
	}
	return 0;
}

/*
 * What is only in B joins what is only in A where they differ by lines alone, and then so do others of A:
 * nobody knows which line has become which.
 */
static int match_without_lines(struct matching *m)
{
	const struct diff *d = m->diff;

	if (note_lineless(m))
		return -ENOMEM;
	for (unsigned side = 2; side-- > 0;) {
		for (uint32_t i = 0; i < d->cnt; i++) {
			uint32_t at;

			if (!is_only(&d->rows[i], side) || m->candidates[i].taken)
				continue;
			at = find_row(m, &m->candidates[i], false);
			if (at != DIFF_NONE && at != i && (side || d->rows[at].match == DIFF_OTHER_LINES))
				absorb(m, at, i);
		}
	}
	return 0;
}

/* --- Rows --- */

static size_t site_cnt(const struct snapshot *s)
{
	return s->allocs ? s->allocs->site_cnt : 0;
}

static int make_room(struct matching *m)
{
	struct diff *d = m->diff;
	size_t all = 0;

	for (unsigned side = 0; side < 2; side++) {
		size_t cnt = site_cnt(d->side[side].snapshot);

		d->next[side] = malloc((cnt ? cnt : 1) * sizeof(uint32_t));
		if (!d->next[side] || cnt >= DIFF_NONE / 2)
			return -ENOMEM;
		all += cnt;
	}
	d->rows = malloc((all ? all : 1) * sizeof(*d->rows));
	m->candidates = malloc((all ? all : 1) * sizeof(*m->candidates));
	m->keys = stack_keys_new();
	return d->rows && m->candidates && m->keys ? 0 : -ENOMEM;
}

static void name_sites(const struct snapshot *s)
{
	for (size_t i = 0; s->names && i < site_cnt(s); i++)
		stack_want(s->names, s->allocs->sites[i].stack);
	names_wait(s->names);
}

static int match_all(struct matching *m)
{
	struct diff *d = m->diff;

	if (make_room(m))
		return -ENOMEM;
	for (unsigned side = 0; side < 2; side++) {
		name_sites(d->side[side].snapshot);
		for (uint32_t i = 0; i < site_cnt(d->side[side].snapshot); i++)
			if (add_site(m, side, i))
				return -ENOMEM;
	}
	return match_without_lines(m);
}

/* Equals stay in the order of their sites, so that two runs on the same recordings print the same. */
static int by_change(const void *x, const void *y)
{
	const struct diff_row *a = x, *b = y;
	uint64_t left = (uint64_t)llabs(a->change), right = (uint64_t)llabs(b->change);

	if (a->within_error != b->within_error)
		return a->within_error ? 1 : -1;
	if (left != right)
		return left < right ? 1 : -1;
	if (a->first[1] != b->first[1])
		return a->first[1] < b->first[1] ? -1 : 1;
	return a->first[0] < b->first[0] ? -1 : 1;
}

static bool is_estimated(const struct diff *d, unsigned side)
{
	const struct allocation_view *a = d->side[side].snapshot->allocs;

	return a && a->budget.estimated;
}

static void rank(struct matching *m)
{
	struct diff *d = m->diff;
	enum site_weight weight = d->options.weight;
	size_t cnt = 0;

	for (size_t i = 0; i < d->cnt; i++) {
		struct diff_row *row = &d->rows[cnt];

		if (m->candidates[i].taken)
			continue;
		*row = d->rows[i];
		if (is_only(row, 0))
			row->match = is_estimated(d, 1) ? DIFF_UNSEEN_B : DIFF_GONE;
		if (is_only(row, 1))
			row->match = is_estimated(d, 0) ? DIFF_UNSEEN_A : DIFF_NEW;
		row->change = diff_change(diff_figure(d, row, 0, weight), diff_figure(d, row, 1, weight));
		row->within_error = diff_within_error(d, row, weight);
		cnt++;
	}
	d->cnt = cnt;
	qsort(d->rows, cnt, sizeof(*d->rows), by_change);
}

int diff_make(struct diff *d, const struct diff_side *a, const struct diff_side *b,
	      const struct diff_options *options, struct error *err)
{
	struct matching m = {.diff = d};
	int ret;

	*d = (struct diff){.options = *options, .side = {*a, *b}};
	weights_init(&d->weights[0], a->snapshot);
	weights_init(&d->weights[1], b->snapshot);
	ret = set_factor(d, err);
	if (!ret && match_all(&m))
		ret = error_set(err, -ENOMEM, "out of memory comparing %s and %s", a->name, b->name);
	if (!ret)
		rank(&m);
	map_free(&m.known);
	stack_keys_free(m.keys);
	free(m.candidates);
	if (ret)
		diff_free(d);
	return ret;
}

void diff_free(struct diff *d)
{
	free(d->rows);
	free(d->next[0]);
	free(d->next[1]);
	d->rows = NULL;
	d->next[0] = d->next[1] = NULL;
	d->cnt = 0;
}
