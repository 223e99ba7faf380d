/* Two recordings side by side as one JSON object; the man page (command/alloctrace.8) has every field. */
#include "base/clock.h"
#include "report/diff.h"
#include "report/json_frame.h"
#include "report/json_tree.h"

#define SCHEMA 1
#define SITES_MAX_SHOWN 10000 /* --top for more: a million are gigabytes */

static void side(struct json *j, const char *name, const struct diff_side *side)
{
	const struct snapshot *s = side->snapshot;
	cJSON *o = json_object(j, j->root, name);

	clock_set_lead(side->epoch_ns);
	json_text(j, o, "recording", side->name);
	json_integer(j, o, "pid", (uint64_t)s->pid);
	json_text(j, o, "command", s->command);
	json_seconds(j, o, "started", clock_epoch(s->started_ns));
	json_seconds(j, o, "time", clock_epoch(s->time_ns));
	json_text(j, o, "ended", s->ended);
	json_integer(j, o, "marks", s->marks_total);
	json_bool(j, o, "estimated", s->allocs && s->allocs->budget.estimated);
}

static void bound(struct json *j, cJSON *o, const char *name, int64_t value)
{
	if (value == INT64_MIN || value == INT64_MAX)
		json_null(j, o, name);
	else
		json_signed(j, o, name, value);
}

/* range: NULL where nothing is estimated. */
static void pair(struct json *j, cJSON *parent, const char *name, uint64_t a, uint64_t b,
		 const struct diff_range *range)
{
	cJSON *o = json_object(j, parent, name);

	json_figure(j, o, "a", a);
	json_figure(j, o, "b", b);
	if (a == UNKNOWN || b == UNKNOWN)
		json_null(j, o, "change");
	else
		json_signed(j, o, "change", diff_change(a, b));
	if (!range)
		return;
	bound(j, o, "change_low", range->low);
	bound(j, o, "change_high", range->high);
}

static void totals(struct json *j, const struct diff *d)
{
	struct diff_total rows[DIFF_TOTALS_MAX];
	size_t cnt = diff_totals(d, rows);
	cJSON *o = json_object(j, j->root, "totals");

	for (size_t i = 0; i < cnt; i++)
		pair(j, o, rows[i].key, rows[i].a, rows[i].b, rows[i].estimated ? &rows[i].range : NULL);
}

static uint64_t figure(const struct diff *d, const struct diff_row *row, unsigned side,
		       enum site_weight weight)
{
	return diff_knows(d, side, weight) && !diff_is_unseen(row, side) ? diff_figure(d, row, side, weight) : UNKNOWN;
}

static void site(struct json *j, cJSON *o, const struct diff *d, const struct diff_row *row)
{
	static const char *const words[] = {
		[DIFF_SAME] = "same", [DIFF_OTHER_LINES] = "moved",   [DIFF_NEW] = "new",
		[DIFF_GONE] = "gone", [DIFF_UNSEEN_A] = "unseen_in_a", [DIFF_UNSEEN_B] = "unseen_in_b"};
	struct diff_range range;

	json_stack(j, o, row->stack);
	json_bool(j, o, "truncated", row->stack && row->stack->cut);
	json_text(j, o, "match", words[row->match]);
	json_bool(j, o, "within_error", row->within_error);
	for (enum site_weight weight = 0; weight < WEIGHT_CNT; weight++) {
		/* Most programs are not in Python. */
		if (weight == WEIGHT_PYTHON && !diff_knows(d, 0, weight) && !diff_knows(d, 1, weight))
			continue;
		pair(j, o, site_weight_names[weight], figure(d, row, 0, weight), figure(d, row, 1, weight),
		     diff_range(d, row, weight, &range) ? &range : NULL);
	}
}

static void sites(struct json *j, const struct diff *d)
{
	size_t max = d->options.top ? d->options.top : SITES_MAX_SHOWN;
	cJSON *list = json_array(j, j->root, "sites");
	struct json item;

	for (size_t i = 0; i < d->cnt && i < max; i++) {
		json_init(&item);
		site(&item, item.root, d, &d->rows[i]);
		json_flat(j, list, NULL, &item);
	}
	json_integer(j, j->root, "sites_total", d->cnt);
}

int diff_json(FILE *out, const struct diff *d)
{
	struct json j;

	json_init(&j);
	json_integer(&j, j.root, "schema", SCHEMA);
	side(&j, "a", &d->side[0]);
	side(&j, "b", &d->side[1]);
	json_text(&j, j.root, "by", diff_by_names[d->options.by]);
	json_ratio(&j, j.root, "factor", d->factor);
	json_text(&j, j.root, "weight", site_weight_names[d->options.weight]);
	totals(&j, d);
	sites(&j, d);
	return json_write(&j, out);
}
