#include "report/text_collector.h"

#include <inttypes.h>

#include "base/units.h"
#include "report/figure.h"
#include "report/table.h"
#include "report/text_findings.h"

#define GAPS_SHOWN 8 /* the newest; the rest is summed up */

static void put_runs(FILE *out, const struct snapshot *s)
{
	const struct collector_view *c = s->collector;
	char cnt[UNITS_TEXT_MAX], took[UNITS_TEXT_MAX], longest[UNITS_TEXT_MAX], full[UNITS_TEXT_MAX],
		ago[UNITS_TEXT_MAX], objects[UNITS_TEXT_MAX];
	struct collector_runs all = {.cnt = 0};

	for (int i = 0; i < COLLECTOR_GENERATIONS; i++) {
		all.cnt += c->runs[i].cnt;
		all.collected += c->runs[i].collected;
		all.ns += c->runs[i].ns;
		all.longest_ns =
			c->runs[i].longest_ns > all.longest_ns ? c->runs[i].longest_ns : all.longest_ns;
	}
	if (!all.cnt)
		return;
	fprintf(out, "  Python's garbage collector since the attach: %s run%s in %s, the longest %s, ",
		figure_count(cnt, all.cnt), all.cnt == 1 ? "" : "s", units_time(took, all.ns),
		units_time(longest, all.longest_ns));
	if (c->last_full_ns && s->time_ns > c->last_full_ns)
		fprintf(out, "%s of them full, the last %s ago; ",
			figure_count(full, c->runs[COLLECTOR_FULL].cnt),
			units_time(ago, s->time_ns - c->last_full_ns));
	else
		fputs("none of them full; ", out);
	fprintf(out, "%s object%s collected\n", figure_count(objects, all.collected),
		all.collected == 1 ? "" : "s");
}

static void cell_end(struct table *t, const struct collector_gap *g)
{
	char objects[UNITS_TEXT_MAX];

	if (!g->end_ns)
		table_cell(t, TABLE_PLAIN, "still open");
	else if (g->by_collection)
		table_cell(t, TABLE_PLAIN, "ended by one that found %s object%s",
			   figure_count(objects, g->collected), g->collected == 1 ? "" : "s");
	else
		table_cell(t, TABLE_PLAIN, "ended by an exec");
}

static void gap_row(struct table *t, const struct collector_gap *g, uint64_t now)
{
	char from[TEXT_CLOCK_MAX], to[TEXT_CLOCK_MAX];
	uint64_t end = g->end_ns ? g->end_ns : now;

	table_cell(t, TABLE_PLAIN, "%s–%s", text_clock(from, g->start_ns),
		   g->end_ns ? text_clock(to, end) : "now");
	table_time(t, end > g->start_ns ? end - g->start_ns : 0);
	table_cell(t, TABLE_PLAIN, "%" PRIu64, g->phases);
	table_cell(t, TABLE_PLAIN, "%" PRIu64, g->purges);
	table_bytes(t, TABLE_PLAIN, g->live_first);
	table_bytes(t, TABLE_BOLD, g->live_last);
	cell_end(t, g);
}

/* Of flagged gaps, the newest; how many there are before them. */
static size_t gap_rows(struct table *t, const struct snapshot *s, size_t flagged)
{
	size_t earlier = flagged > GAPS_SHOWN ? flagged - GAPS_SHOWN : 0, seen = 0;

	for (size_t i = 0; i < s->gap_cnt; i++)
		if (s->gaps[i].flagged && seen++ >= earlier)
			gap_row(t, &s->gaps[i], s->time_ns);
	return earlier;
}

/* Something was kept from phase to phase: perhaps what a collection would have freed. */
static int put_flagged(FILE *out, const struct snapshot *s, size_t flagged, bool colour)
{
	static const char *const names[] = {
		"full collection missing", "for", "freeing phases", "purges", "live after the first",
		"after the last",          NULL,
	};
	struct table *t = table_new("lrrrrrl");
	size_t earlier;
	int result;

	table_heading(t, names);
	earlier = gap_rows(t, s, flagged);
	result = table_print(t, out, "  ", colour);
	table_free(t);
	if (earlier)
		fprintf(out, "  and %zu earlier\n", earlier);
	return result;
}

static int put_gaps(FILE *out, const struct snapshot *s, bool colour)
{
	uint64_t phases = 0;
	size_t flagged = 0;
	int result = 0;

	for (size_t i = 0; i < s->gap_cnt; i++) {
		flagged += s->gaps[i].flagged;
		phases += s->gaps[i].flagged ? 0 : s->gaps[i].phases;
	}
	if (flagged)
		result = put_flagged(out, s, flagged, colour);
	if (phases)
		fprintf(out,
			"  %" PRIu64 " freeing phases without a full collection between them: live did not "
			"rise, none is missing\n",
			phases);
	return result;
}

static void put_purges(FILE *out, const struct snapshot *s)
{
	const struct collector_view *c = s->collector;

	if (c->purges_without)
		fprintf(out,
			"  no full collection between one purge and the next, %" PRIu64 " of %" PRIu64
			" times: what hangs in reference cycles stays (gc.collect() first)\n",
			c->purges_without, c->purges);
}

int text_collector(FILE *out, const struct snapshot *s, bool colour)
{
	int result;

	if (!s->collector)
		return 0;
	put_runs(out, s);
	result = put_gaps(out, s, colour);
	put_purges(out, s);
	return result;
}
