#include "report/text_processes.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/printable.h"
#include "report/figure.h"
#include "report/table.h"

#define ROWS_INTERVAL 10
#define ROWS_FINAL 30

void text_process_counts(FILE *out, const struct snapshot *s)
{
	const struct process_rows *p = s->processes;

	fprintf(out, ", %zu process%s", p->living, p->living == 1 ? "" : "es");
	if (p->came)
		fprintf(out, ", %" PRIu64 " came", p->came);
	if (p->went)
		fprintf(out, ", %" PRIu64 " went", p->went);
	if (p->too_short)
		fprintf(out, ", %" PRIu64 " too short-lived to be seen", p->too_short);
	if (p->left_out)
		fprintf(out, ", %" PRIu64 " not watched for want of room", p->left_out);
}

static int by_rss(const void *x, const void *y)
{
	const struct snapshot *a = *(const struct snapshot *const *)x,
			      *b = *(const struct snapshot *const *)y;

	if (a->rss != b->rss)
		return a->rss < b->rss ? 1 : -1;
	return a->pid < b->pid ? -1 : a->pid > b->pid;
}

static uint64_t figure_of(const struct snapshot *s, uint64_t figure)
{
	return s->heap->taken_ns ? figure : UNKNOWN;
}

static void cell_rate(struct table *t, const struct snapshot *s)
{
	const struct allocation_view *a = s->allocs;
	char text[UNITS_TEXT_MAX];

	if (!a)
		table_cell(t, TABLE_PLAIN, "–");
	else if (s->final)
		table_cell(t, TABLE_PLAIN, "%s",
			   figure_rate(text, a->totals.allocated.cnt, s->time_ns - s->started_ns));
	else
		table_cell(
			t, TABLE_PLAIN, "%s",
			figure_rate(text, a->totals.allocated.cnt - a->before.allocated.cnt, s->interval_ns));
}

static void row(struct table *t, const struct snapshot *s)
{
	char name[64];

	table_cell(t, TABLE_PLAIN, "%s (%d)", printable(name, sizeof(name), s->command), s->pid);
	table_bytes(t, TABLE_BOLD, s->rss ? s->rss : UNKNOWN); /* 0: it ended before it was read */
	table_bytes(t, TABLE_PLAIN, figure_of(s, s->heap->live_heap));
	table_bytes(t, TABLE_PLAIN, figure_of(s, s->heap->retained));
	table_bytes(t, TABLE_PLAIN, figure_of(s, s->heap->purgeable));
	table_bytes(t, TABLE_PLAIN, figure_of(s, s->heap->pinned));
	cell_rate(t, s);
	table_cell(t, TABLE_PLAIN, "%s", s->gone && s->ended ? s->ended : "");
}

/* What the rows that are not shown come to. */
static void rest(FILE *out, const struct snapshot *const *sorted, size_t from, size_t cnt)
{
	char rss[UNITS_TEXT_MAX];
	uint64_t sum = 0;

	for (size_t i = from; i < cnt; i++)
		sum += sorted[i]->rss;
	fprintf(out, "  and %zu more with RSS %s\n", cnt - from, units_bytes(rss, sum));
}

int text_processes(FILE *out, const struct snapshot *s, bool colour)
{
	static const char *const names[] = {"process",   "RSS",    "live",        "retained",
					    "purgeable", "pinned", "allocations", NULL};
	const struct process_rows *p = s->processes;
	size_t max = s->final ? ROWS_FINAL : ROWS_INTERVAL, cnt = p ? p->cnt + p->past_cnt : 0;
	const struct snapshot **sorted;
	struct table *t;
	int result = -ENOMEM;

	if (!cnt)
		return 0;
	sorted = calloc(cnt, sizeof(*sorted));
	t = table_new("lrrrrrrl");
	if (sorted && t) {
		for (size_t i = 0; i < cnt; i++)
			sorted[i] = i < p->cnt ? p->v[i] : p->past[i - p->cnt];
		qsort(sorted, cnt, sizeof(*sorted), by_rss);
		table_heading(t, names);
		for (size_t i = 0; i < cnt && i < max; i++)
			row(t, sorted[i]);
		result = table_print(t, out, "  ", colour);
		if (cnt > max)
			rest(out, sorted, max, cnt);
	}
	table_free(t);
	free(sorted);
	return result;
}
