/*
 * Two recordings side by side as a page for a browser: tables by every figure, each site's whole stack to
 * be unfolded. It needs no script and loads nothing. Texts come from the target and are hostile: all go
 * through put_text.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/printable.h"
#include "report/budget_text.h"
#include "report/diff.h"
#include "report/figure.h"
#include "report/site_text.h"

#define SITES_SHOWN 50 /* a figure */

static const char head[] =
	"<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
	"<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
	"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
	"'unsafe-inline'\">\n"
	"<meta name=\"color-scheme\" content=\"light dark\"><title>alloctrace diff</title>\n<style>\n"
	":root { --ground: #f4f5f7; --card: #fff; --ink: #1b1f27; --quiet: #667085; --edge: #e1e4ea; --up: "
	"#c8283c; "
	"--down: #2c74d8; }\n"
	"@media (prefers-color-scheme: dark) { :root { --ground: #12151b; --card: #1a1e26; --ink: #e6e9ef; "
	"--quiet: #97a1b3; --edge: #2b313d; --up: #ff6a7b; --down: #5b9dff; } }\n"
	"* { box-sizing: border-box; }\n"
	"body { margin: 0 auto; max-width: 1400px; padding: 14px 20px; background: var(--ground); color: "
	"var(--ink); "
	"font: 14px/1.45 system-ui, sans-serif; font-variant-numeric: tabular-nums; }\n"
	"section { background: var(--card); border: 1px solid var(--edge); border-radius: 10px; padding: "
	"12px 16px; "
	"margin: 14px 0; overflow-x: auto; }\n"
	"h1 { font-size: 19px; margin: 4px 0; } h2 { font-size: 15px; margin: 0 0 6px; }\n"
	"p { margin: 2px 0; } .quiet, th { color: var(--quiet); font-weight: normal; } nav a { margin-right: "
	"12px; }\n"
	"a { color: var(--down); }\n"
	"table { border-collapse: collapse; } td, th { padding: 3px 12px 3px 0; text-align: right; "
	"white-space: nowrap; vertical-align: top; }\n"
	"td:last-child, th:last-child, .name { text-align: left; } tr + tr td { border-top: 1px solid "
	"var(--edge); }\n"
	".up { color: var(--up); } .down { color: var(--down); } summary { cursor: pointer; }\n"
	".bar { width: 160px; } .bar i { display: block; height: 10px; margin-top: 5px; border-radius: 2px; "
	"}\n"
	".bar .up { background: var(--up); margin-left: 50%; } .bar .down { background: var(--down); "
	"margin-left: auto; "
	"margin-right: 50%; }\n"
	"ol { margin: 4px 0; padding-left: 28px; color: var(--quiet); }\n"
	"</style></head><body>\n";

static void put_text(FILE *out, const char *text)
{
	char printed[SITE_TEXT_MAX];

	for (const char *c = printable(printed, sizeof(printed), text ? text : "?"); *c; c++) {
		if (*c == '&')
			fputs("&amp;", out);
		else if (*c == '<')
			fputs("&lt;", out);
		else if (*c == '>')
			fputs("&gt;", out);
		else if (*c == '"')
			fputs("&quot;", out);
		else
			putc(*c, out);
	}
}

static void put_figure(FILE *out, uint64_t figure, bool is_count)
{
	char text[UNITS_TEXT_MAX];

	fprintf(out, "<td>%s</td>",
		figure == UNKNOWN ? "–"
		: is_count        ? figure_count(text, figure)
				  : units_bytes(text, figure));
}

static const char *way(int64_t change)
{
	return change > 0 ? "up" : change < 0 ? "down" : "";
}

static void put_change(FILE *out, int64_t change, const struct diff_range *range, bool is_count)
{
	char text[DIFF_CHANGE_MAX];

	fprintf(out, "<td class=\"%s\"><b>%s</b></td>", way(change),
		diff_change_text(text, change, range, is_count));
}

static void put_side(FILE *out, char letter, const struct diff_side *side)
{
	char span[UNITS_TEXT_MAX], at[DIFF_TIME_MAX], seen[BUDGET_TEXT_MAX];
	const struct snapshot *s = side->snapshot;

	fprintf(out, "<p><b>%c</b> ", letter);
	put_text(out, side->name);
	fputs(": ", out);
	put_text(out, s->command);
	if (s->pid)
		fprintf(out, " (%d)", s->pid);
	fprintf(out, "<span class=\"quiet\">, %s until %s", units_time(span, s->time_ns - s->started_ns),
		diff_time(at, side));
	if (s->ended) {
		fputs(", ", out);
		put_text(out, s->ended);
	}
	if (s->allocs && budget_seen_text(seen, s->allocs)[0])
		fprintf(out, "; figures of its sites are estimates: %s", seen);
	fputs("</span></p>\n", out);
}

static void put_intro(FILE *out, const struct diff *d)
{
	fputs("<h1>What grew from A to B</h1>\n", out);
	put_side(out, 'A', &d->side[0]);
	put_side(out, 'B', &d->side[1]);
	if (d->options.by != DIFF_BY_NOTHING)
		fprintf(out,
			"<p class=\"quiet\">A's figures since its attach are multiplied by %.3g: its %s, to "
			"B's</p>\n",
			d->factor, diff_by_names[d->options.by]);
}

static void put_totals(FILE *out, const struct diff *d)
{
	struct diff_total totals[DIFF_TOTALS_MAX];
	size_t cnt = diff_totals(d, totals);

	fputs("<section id=\"all\"><h2>The "
	      "whole</h2><table>\n<tr><th></th><th>A</th><th>B</th><th>change</th>"
	      "<th></th></tr>\n",
	      out);
	for (size_t i = 0; i < cnt; i++) {
		const struct diff_total *t = &totals[i];

		if (!diff_total_says_something(t))
			continue;
		fprintf(out, "<tr><td class=\"name\">%s</td>", t->name);
		put_figure(out, t->a, t->is_count);
		put_figure(out, t->b, t->is_count);
		if (t->a == UNKNOWN || t->b == UNKNOWN)
			fputs("<td>–</td>", out);
		else
			put_change(out, diff_change(t->a, t->b), t->estimated ? &t->range : NULL, t->is_count);
		fprintf(out, "<td class=\"quiet\">%s</td></tr>\n", t->since_attach ? "since the attach" : "");
	}
	fputs("</table></section>\n", out);
}

static void put_stack(FILE *out, const struct stack *stack)
{
	struct stack_walk walk = {.stack = stack};
	const struct frame_name *frame;
	char text[FRAME_TEXT_MAX];

	fputs("<details><summary>", out);
	put_text(out, site_text((char[SITE_TEXT_MAX]){0}, stack));
	fputs("</summary><ol>", out);
	while (stack && (frame = stack_next_out(&walk))) {
		fputs("<li>", out);
		put_text(out, frame_text(text, sizeof(text), frame, &frame_whole));
		fputs("</li>", out);
	}
	fputs("</ol></details>", out);
}

struct ranked {
	const struct diff_row *row;
	int64_t change;
};

static void put_site(FILE *out, const struct diff *d, enum site_weight weight, const struct ranked *r,
		     int64_t most)
{
	bool is_count = weight == WEIGHT_COUNT;
	struct diff_range range;

	fputs("<tr>", out);
	put_change(out, r->change, diff_range(d, r->row, weight, &range) ? &range : NULL, is_count);
	fprintf(out, "<td class=\"bar\"><i class=\"%s\" style=\"width: %.1f%%\"></i></td>", way(r->change),
		50 * (double)llabs(r->change) / (double)llabs(most));
	for (unsigned side = 0; side < 2; side++)
		put_figure(out, diff_is_unseen(r->row, side) ? UNKNOWN : diff_figure(d, r->row, side, weight),
			   is_count);
	fprintf(out, "<td class=\"quiet\">%s</td><td>", diff_match_words[r->row->match]);
	put_stack(out, r->row->stack);
	fputs("</td></tr>\n", out);
}

/* Those that changed most, largest first; equals in the order of the rows. */
static size_t rank(const struct diff *d, enum site_weight weight, struct ranked *top, size_t max)
{
	size_t cnt = 0;

	for (size_t i = 0; i < d->cnt; i++) {
		const struct diff_row *row = &d->rows[i];
		int64_t change = diff_change(diff_figure(d, row, 0, weight), diff_figure(d, row, 1, weight));
		size_t at = cnt;

		while (at && llabs(top[at - 1].change) < llabs(change))
			at--;
		if (!change || at == max || diff_within_error(d, row, weight))
			continue;
		cnt += cnt < max;
		memmove(top + at + 1, top + at, (cnt - 1 - at) * sizeof(*top));
		top[at] = (struct ranked){row, change};
	}
	return cnt;
}

static void put_sites(FILE *out, const struct diff *d, enum site_weight weight, struct ranked *top,
		      size_t max)
{
	size_t cnt = rank(d, weight, top, max);

	fprintf(out, "<section id=\"%s\"><h2>%s by site</h2>", site_weight_names[weight],
		site_weight_names[weight]);
	if (cnt)
		fputs("<table>\n<tr><th>change</th><th></th><th>A</th><th>B</th><th></th>"
		      "<th>by</th></tr>\n",
		      out);
	else
		fputs("<p class=\"quiet\">no site has changed</p>", out);
	for (size_t i = 0; i < cnt; i++)
		put_site(out, d, weight, &top[i], top[0].change);
	fputs(cnt ? "</table></section>\n" : "</section>\n", out);
}

static bool is_shown(const struct diff *d, enum site_weight weight)
{
	return diff_knows(d, 0, weight) && diff_knows(d, 1, weight);
}

int diff_html(FILE *out, const struct diff *d)
{
	size_t max = d->options.top && d->options.top < d->cnt ? d->options.top : SITES_SHOWN;
	struct ranked *top = calloc(max + 1, sizeof(*top));

	if (!top)
		return -ENOMEM;
	fputs(head, out);
	put_intro(out, d);
	fputs("<nav><a href=\"#all\">the whole</a>", out);
	for (enum site_weight w = 0; w < WEIGHT_CNT; w++)
		if (is_shown(d, w))
			fprintf(out, "<a href=\"#%s\">%s</a>", site_weight_names[w], site_weight_names[w]);
	fputs("</nav>\n", out);
	put_totals(out, d);
	for (enum site_weight w = 0; w < WEIGHT_CNT; w++)
		if (is_shown(d, w))
			put_sites(out, d, w, top, max);
	fputs("</body></html>\n", out);
	free(top);
	return fflush(out) ? -errno : ferror(out) ? -EIO : 0;
}
