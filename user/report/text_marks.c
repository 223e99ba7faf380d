#include "report/text_marks.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/printable.h"
#include "base/units.h"
#include "report/figure.h"
#include "report/mark_kinds.h"
#include "report/table.h"
#include "report/text_findings.h"

#define MARKS_SHOWN 8          /* the newest of an interval */
#define KINDS_SHOWN 20         /* of the final report */
#define READ_NEAR NSEC_PER_SEC /* a reading that is not further off needs no word */

/* "mark unit 3 done in 4242": one that has no text is its kind. */
static void cell_name(struct table *t, const struct snapshot *s, size_t i)
{
	const struct mark_finding *f = s->marks[i];
	char kind[128], text[256], in[24] = "";

	if (s->mark_pids)
		snprintf(in, sizeof(in), " in %d", s->mark_pids[i]);
	table_cell(t, TABLE_PLAIN, "%s%s%s%s", printable(kind, sizeof(kind), f->kind), f->text[0] ? " " : "",
		   printable(text, sizeof(text), f->text), in);
}

/* Where the heap was not read near the mark, its figures are of another moment. */
static void cell_reading(struct table *t, const struct mark_finding *f)
{
	uint64_t apart = f->state_ns < 0 ? -(uint64_t)f->state_ns : (uint64_t)f->state_ns;
	char span[UNITS_TEXT_MAX];

	if (f->retained == UNKNOWN || apart < READ_NEAR)
		table_cell(t, TABLE_PLAIN, "%s", "");
	else
		table_cell(t, TABLE_PLAIN, "heap read %s %s", units_time(span, apart),
			   f->state_ns < 0 ? "before" : "after");
}

static void mark_row(struct table *t, const struct snapshot *s, size_t i)
{
	const struct mark_finding *f = s->marks[i];
	char at[TEXT_CLOCK_MAX];

	table_cell(t, TABLE_PLAIN, "%s", text_clock(at, f->time_ns));
	cell_name(t, s, i);
	table_bytes(t, TABLE_BOLD, f->rss);
	table_bytes(t, TABLE_PLAIN, f->live_heap == UNKNOWN ? f->live : f->live_heap);
	table_bytes(t, TABLE_PLAIN, f->retained);
	cell_reading(t, f);
}

static int put_marks(FILE *out, const struct snapshot *s, bool colour)
{
	static const char *const names[] = {"mark", "", "RSS", "live", "retained", NULL};
	size_t first = s->mark_cnt > MARKS_SHOWN ? s->mark_cnt - MARKS_SHOWN : 0;
	struct table *t;
	int result;

	if (!s->mark_cnt)
		return 0;
	t = table_new("llrrrl");
	table_heading(t, names);
	for (size_t i = first; i < s->mark_cnt; i++)
		mark_row(t, s, i);
	result = table_print(t, out, "  ", colour);
	if (first)
		fprintf(out, "  and %zu earlier\n", first);
	table_free(t);
	return result;
}

/* "61.2 MiB → 161 MiB" */
static void cell_way(struct table *t, const struct mark_series *series)
{
	char first[UNITS_TEXT_MAX], last[UNITS_TEXT_MAX];

	if (!series->cnt)
		table_cell(t, TABLE_PLAIN, "–");
	else
		table_cell(t, TABLE_PLAIN, "%s → %s", units_bytes(first, series->first),
			   units_bytes(last, series->last));
}

static void kind_row(struct table *t, const struct mark_kind *k)
{
	char cnt[UNITS_TEXT_MAX], name[128], in[24] = "", skipped[UNITS_TEXT_MAX];

	if (k->pid)
		snprintf(in, sizeof(in), " in %d", k->pid);
	table_cell(t, TABLE_PLAIN, "%s%s", printable(name, sizeof(name), k->kind), in);
	table_cell(t, TABLE_PLAIN, "%s", figure_count(cnt, k->cnt));
	cell_way(t, &k->series[MARK_RSS]);
	cell_way(t, mark_kind_live(k));
	cell_way(t, &k->series[MARK_RETAINED]);
	table_cell(t, TABLE_BOLD, "%s", k->words);
	if (k->skipped)
		table_line(t, "  %s more calls of %s came too often to be marked each",
			   figure_count(skipped, k->skipped), name);
}

/* Purges have a table of their own: here only those that say something. */
static bool is_shown(const struct mark_kind *k)
{
	return !k->is_purge || k->words[0];
}

static int put_kinds(FILE *out, const struct snapshot *s, bool colour)
{
	static const char *const names[] = {"compared at marks", "",  "RSS, first → last", "live",
					    "retained",          NULL};
	struct mark_kind *kinds;
	size_t cnt, shown = 0, hidden = 0;
	struct table *t;
	int result = mark_kinds_make(s, &kinds, &cnt);

	if (result)
		return result;
	t = table_new("lrllll");
	table_heading(t, names);
	for (size_t i = 0; i < cnt; i++) {
		if (!is_shown(&kinds[i]))
			continue;
		if (shown < KINDS_SHOWN)
			kind_row(t, &kinds[i]);
		hidden += shown++ >= KINDS_SHOWN;
	}
	if (shown)
		result = table_print(t, out, "  ", colour);
	if (hidden)
		fprintf(out, "  and %zu more\n", hidden);
	table_free(t);
	free(kinds);
	return result;
}

int text_marks(FILE *out, const struct snapshot *s, bool colour)
{
	return s->final ? put_kinds(out, s, colour) : put_marks(out, s, colour);
}
