/* Two recordings side by side, for a tired person: the whole first, then the sites that changed most. */
#include <errno.h>
#include <inttypes.h>
#include <time.h>

#include "base/clock.h"
#include "base/printable.h"
#include "report/budget_text.h"
#include "report/diff.h"
#include "report/emit.h"
#include "report/figure.h"
#include "report/site_text.h"
#include "report/table.h"

#define SITES_SHOWN 15

const struct diff_form diff_forms[DIFF_FORM_CNT] = {
	[DIFF_TEXT] = {"text", diff_text},
	[DIFF_JSON] = {"json", diff_json},
	[DIFF_FOLDED] = {"folded", diff_folded},
	[DIFF_HTML] = {"html", diff_html},
};

const char *diff_time(char buf[DIFF_TIME_MAX], const struct diff_side *side)
{
	time_t seconds;
	struct tm tm;

	clock_set_lead(side->epoch_ns);
	seconds = (time_t)clock_epoch(side->snapshot->time_ns);
	if (!localtime_r(&seconds, &tm) || !strftime(buf, DIFF_TIME_MAX, "%F %T", &tm))
		snprintf(buf, DIFF_TIME_MAX, "?");
	return buf;
}

static void put_side(FILE *out, char letter, const struct diff_side *side)
{
	char at[DIFF_TIME_MAX], span[UNITS_TEXT_MAX], name[256], file[512], ended[256];
	char seen[BUDGET_TEXT_MAX];
	const struct snapshot *s = side->snapshot;

	fprintf(out, "%c  %s: %s", letter, printable(file, sizeof(file), side->name),
		printable(name, sizeof(name), s->command ? s->command : "?"));
	if (s->pid)
		fprintf(out, " (%d)", s->pid);
	fprintf(out, ", %s until %s", units_time(span, s->time_ns - s->started_ns), diff_time(at, side));
	if (s->ended)
		fprintf(out, ", %s", printable(ended, sizeof(ended), s->ended));
	fputc('\n', out);
	if (s->allocs && budget_seen_text(seen, s->allocs)[0])
		fprintf(out, "   figures of its sites are estimates: %s\n", seen);
}

static void put_scale(FILE *out, const struct diff *d)
{
	if (d->options.by == DIFF_BY_NOTHING)
		return;
	fprintf(out, "   A's figures since its attach are multiplied by %.3g: its %s, to B's\n", d->factor,
		diff_by_names[d->options.by]);
}

static void cell_figure(struct table *t, uint64_t figure, bool is_count)
{
	char text[UNITS_TEXT_MAX];

	if (is_count && figure != UNKNOWN)
		table_cell(t, TABLE_PLAIN, "%s", figure_count(text, figure));
	else
		table_bytes(t, TABLE_PLAIN, figure);
}

static void cell_change(struct table *t, enum table_style style, int64_t change,
			const struct diff_range *range, bool is_count)
{
	char text[DIFF_CHANGE_MAX];

	table_cell(t, style, "%s", diff_change_text(text, change, range, is_count));
}

static void total_row(struct table *t, const struct diff_total *total)
{
	table_cell(t, TABLE_PLAIN, "%s", total->name);
	cell_figure(t, total->a, total->is_count);
	cell_figure(t, total->b, total->is_count);
	if (total->a == UNKNOWN || total->b == UNKNOWN) {
		table_cell(t, TABLE_PLAIN, "–");
	} else {
		cell_change(t, TABLE_BOLD, diff_change(total->a, total->b),
			    total->estimated ? &total->range : NULL, total->is_count);
		if (total->estimated && diff_may_be_none(&total->range))
			table_cell(t, TABLE_PLAIN, "within the error");
		else if (total->a && total->a != total->b)
			table_cell(t, TABLE_PLAIN, "%+.0f %%",
				   100 * ((double)total->b - (double)total->a) / (double)total->a);
	}
	table_end_row(t);
}

static int put_totals(FILE *out, const struct diff *d)
{
	struct table *t = table_new("lrrrr");
	struct diff_total totals[DIFF_TOTALS_MAX];
	size_t cnt = diff_totals(d, totals);
	bool since = false;
	int result;

	table_heading(t, (const char *const[]){"", "A", "B", "change", NULL});
	for (size_t i = 0; i < cnt; i++) {
		if (!diff_total_says_something(&totals[i]))
			continue;
		if (totals[i].since_attach && !since)
			table_line(t, "since the attach");
		since |= totals[i].since_attach;
		total_row(t, &totals[i]);
	}
	result = table_print(t, out, "  ", d->options.colour);
	table_free(t);
	return result;
}

static bool are_known(const struct diff *d, enum site_weight weight)
{
	return diff_knows(d, 0, weight) && diff_knows(d, 1, weight);
}

/* Whose changes stand beside that of the weight which sites are ranked by. */
static const enum site_weight beside[] = {WEIGHT_LIVE, WEIGHT_ALLOCATED, WEIGHT_FREED, WEIGHT_PINNED};
#define BESIDE_CNT (sizeof(beside) / sizeof(beside[0]))

static void heading(struct table *t, enum site_weight weight)
{
	table_cell(t, TABLE_PLAIN, "%s by site", site_weight_names[weight]);
	table_cell(t, TABLE_PLAIN, "A");
	table_cell(t, TABLE_PLAIN, "B");
	for (size_t i = 0; i < BESIDE_CNT; i++)
		if (beside[i] != weight)
			table_cell(t, TABLE_PLAIN, "%s", site_weight_names[beside[i]]);
	table_cell(t, TABLE_PLAIN, "%s", "");
	table_cell(t, TABLE_PLAIN, "by");
	table_end_row(t);
}

static void cell_beside(struct table *t, const struct diff *d, const struct diff_row *row,
			enum site_weight weight)
{
	int64_t change = diff_change(diff_figure(d, row, 0, weight), diff_figure(d, row, 1, weight));

	if (!are_known(d, weight))
		table_cell(t, TABLE_PLAIN, "–");
	else if (diff_within_error(d, row, weight))
		table_cell(t, TABLE_PLAIN, change ? "?" : "0 B");
	else
		cell_change(t, TABLE_PLAIN, change, NULL, false);
}

static void cell_side(struct table *t, const struct diff *d, const struct diff_row *row, unsigned side,
		      bool is_count)
{
	if (diff_is_unseen(row, side))
		table_cell(t, TABLE_PLAIN, "not seen");
	else
		cell_figure(t, diff_figure(d, row, side, d->options.weight), is_count);
}

static void site_row(struct table *t, const struct diff *d, const struct diff_row *row)
{
	enum site_weight weight = d->options.weight;
	bool is_count = weight == WEIGHT_COUNT;
	struct diff_range range;
	char site[SITE_TEXT_MAX];

	cell_change(t, TABLE_BOLD, row->change, diff_range(d, row, weight, &range) ? &range : NULL, is_count);
	cell_side(t, d, row, 0, is_count);
	cell_side(t, d, row, 1, is_count);
	for (size_t i = 0; i < BESIDE_CNT; i++)
		if (beside[i] != weight)
			cell_beside(t, d, row, beside[i]);
	table_cell(t, TABLE_PLAIN, "%s", diff_match_words[row->match]);
	table_cell(t, TABLE_PLAIN, "%s", site_text(site, row->stack));
	table_end_row(t);
}

/* Rows are by change: those that have changed come first. */
static size_t changed_cnt(const struct diff *d)
{
	size_t low = 0, high = d->cnt;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (d->rows[mid].change && !d->rows[mid].within_error)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static void rest_row(struct table *t, const struct diff *d, size_t from, size_t to)
{
	char change[UNITS_TEXT_MAX], cnt[UNITS_TEXT_MAX];
	bool is_count = d->options.weight == WEIGHT_COUNT;
	int64_t sum = 0;

	for (size_t i = from; i < to; i++)
		if (__builtin_add_overflow(sum, d->rows[i].change, &sum))
			sum = d->rows[i].change < 0 ? INT64_MIN : INT64_MAX;
	table_line(t, "%s in %s more sites that have changed",
		   is_count ? figure_count_change(change, sum) : figure_change(change, sum),
		   figure_count(cnt, to - from));
}

/* What may be no change at all is counted, not listed. */
static void put_uncertain(FILE *out, const struct diff *d)
{
	char cnt[UNITS_TEXT_MAX];
	size_t uncertain = 0;

	for (size_t i = 0; i < d->cnt; i++)
		uncertain += d->rows[i].within_error && d->rows[i].change;
	if (uncertain)
		fprintf(out, "  %s site%s changed by no more than the error of the estimates\n",
			figure_count(cnt, uncertain), uncertain > 1 ? "s have" : " has");
}

/* Of a process that has ended as it should nothing lives. */
static const char *none_changed(const struct diff *d)
{
	if (!d->cnt)
		return "there are no sites to compare";
	if (!are_known(d, d->options.weight))
		return "of one of the two it is not known: choose another --weight";
	return d->options.weight == WEIGHT_LIVE
		       ? "what is live has not changed at any site: see --weight peak or allocated"
		       : "no site has changed";
}

static int put_sites(FILE *out, const struct diff *d)
{
	size_t changed = changed_cnt(d), max = d->options.top ? d->options.top : SITES_SHOWN;
	size_t shown = changed < max ? changed : max;
	struct table *t;
	int result;

	if (!changed || !are_known(d, d->options.weight)) {
		fprintf(out, "  %s\n", none_changed(d));
		put_uncertain(out, d);
		return 0;
	}
	t = table_new("rrrrrrll");
	heading(t, d->options.weight);
	for (size_t i = 0; i < shown; i++)
		site_row(t, d, &d->rows[i]);
	if (shown < changed)
		rest_row(t, d, shown, changed);
	result = table_print(t, out, "  ", d->options.colour);
	put_uncertain(out, d);
	table_free(t);
	return result;
}

static int put_all(FILE *out, const struct diff *d)
{
	int result;

	put_side(out, 'A', &d->side[0]);
	put_side(out, 'B', &d->side[1]);
	put_scale(out, d);
	result = put_totals(out, d);
	return result ?: put_sites(out, d);
}

int diff_text(FILE *out, const struct diff *d)
{
	int result = put_all(out, d);

	return result ?: fflush(out) ? -errno : ferror(out) ? -EIO : 0;
}
