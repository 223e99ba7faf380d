#include "report/text_findings.h"

#include <inttypes.h>
#include <time.h>

#include "base/clock.h"
#include "base/units.h"
#include "report/table.h"
#include "report/verdict.h"

/* A person reads some ten lines of a kind; the rest is summed up in one (and is whole in JSON). */
#define ROWS_INTERVAL 8
#define ROWS_FINAL 20

const char *text_clock(char buf[TEXT_CLOCK_MAX], uint64_t monotonic_ns)
{
	time_t seconds = (time_t)clock_epoch(monotonic_ns);
	struct tm tm;

	if (!localtime_r(&seconds, &tm) || !strftime(buf, TEXT_CLOCK_MAX, "%H:%M:%S", &tm))
		snprintf(buf, TEXT_CLOCK_MAX, "--:--:--");
	return buf;
}

static size_t rows_max(const struct snapshot *s)
{
	return s->final ? ROWS_FINAL : ROWS_INTERVAL;
}

/* "of 1.44 GiB predicted", with the prediction's age where it is old enough to matter. */
static void cell_predicted(struct table *t, const struct purge_finding *p)
{
	char bytes[UNITS_TEXT_MAX], age[UNITS_TEXT_MAX];

	if (p->predicted == UNKNOWN)
		table_cell(t, TABLE_PLAIN, "nothing predicted");
	else if (p->prediction_age_ns < NSEC_PER_SEC)
		table_cell(t, TABLE_PLAIN, "of %s predicted", units_bytes(bytes, p->predicted));
	else
		table_cell(t, TABLE_PLAIN, "of %s predicted %s before", units_bytes(bytes, p->predicted),
			   units_time(age, p->prediction_age_ns));
}

static void cell_verdict(struct table *t, const struct snapshot *s, const struct purge_finding *p)
{
	const struct heap_allocator *serving = verdict_serving(s);
	const char *call = verdict_purge_call(s);

	if (!p->misdirected)
		table_cell(t, TABLE_PLAIN, "%s", p->effective ? "effective" : "ineffective");
	else if (!serving)
		table_cell(t, TABLE_RED, "MISDIRECTED: %s does not serve this process", p->allocator);
	else if (!call)
		table_cell(t, TABLE_RED, "MISDIRECTED: %s serves this process", serving->kind->name);
	else
		table_cell(t, TABLE_RED, "MISDIRECTED: %s serves this process, call %s", serving->kind->name, call);
}

static void purge_row(struct table *t, const struct snapshot *s, const struct purge_finding *p)
{
	char at[TEXT_CLOCK_MAX];

	table_cell(t, TABLE_PLAIN, "%s", text_clock(at, p->time_ns));
	table_cell(t, TABLE_PLAIN, "%s", p->function);
	table_time(t, p->duration_ns);
	table_bytes(t, TABLE_BOLD, p->returned);
	cell_predicted(t, p);
	cell_verdict(t, s, p);
	table_cell(t, TABLE_PLAIN, "%s%s", p->caller ? "by " : "", p->caller ? p->caller : "");
}

/* Those before the newest: how many, and what they came to. */
static void earlier_purges(FILE *out, const struct snapshot *s, size_t cnt)
{
	uint64_t returned = 0, misdirected = 0, ineffective = 0, forgotten = 0;
	char bytes[UNITS_TEXT_MAX];

	for (size_t i = 0; i < cnt; i++) {
		returned += s->purges[i]->returned;
		misdirected += s->purges[i]->misdirected;
		ineffective += !s->purges[i]->effective && !s->purges[i]->misdirected;
	}
	if (s->final && s->purges_total > s->purge_cnt)
		forgotten = s->purges_total - s->purge_cnt;
	if (cnt)
		fprintf(out, "    %zu earlier: %s returned, %" PRIu64 " ineffective, %" PRIu64 " misdirected\n", cnt,
			units_bytes(bytes, returned), ineffective, misdirected);
	if (forgotten)
		fprintf(out, "    %" PRIu64 " before those, kept in the totals only\n", forgotten);
}

int text_purges(FILE *out, const struct snapshot *s, bool colour)
{
	size_t first = s->purge_cnt > rows_max(s) ? s->purge_cnt - rows_max(s) : 0;
	struct table *t;
	int result;

	if (!s->purge_cnt)
		return 0;
	t = table_new("llrrlll");
	for (size_t i = first; i < s->purge_cnt; i++)
		purge_row(t, s, s->purges[i]);
	fputs("  purges: when, what, how long, returned\n", out);
	earlier_purges(out, s, first);
	result = table_print(t, out, "    ", colour);
	table_free(t);
	return result;
}

static void window_row(struct table *t, const struct window_finding *w, uint64_t now)
{
	char from[TEXT_CLOCK_MAX], to[TEXT_CLOCK_MAX];
	uint64_t end = w->end_ns ? w->end_ns : now;

	table_cell(t, TABLE_PLAIN, "%s–%s", text_clock(from, w->start_ns), w->end_ns ? text_clock(to, end) : "now");
	table_time(t, end > w->start_ns ? end - w->start_ns : 0);
	table_bytes(t, TABLE_PLAIN, w->peak_retained);
	table_cell(t, TABLE_PLAIN, "retained at its peak, a purge then would have returned");
	table_bytes(t, TABLE_BOLD, w->peak_purgeable);
	if (w->ineffective_purges)
		table_cell(t, TABLE_PLAIN, "%s, %u purge%s in it did not help",
			   w->closed_by_purge ? "closed by a purge" : w->end_ns ? "closed" : "still open",
			   w->ineffective_purges, w->ineffective_purges > 1 ? "s" : "");
	else
		table_cell(t, TABLE_PLAIN, "%s",
			   w->closed_by_purge ? "closed by a purge" : w->end_ns ? "closed" : "still open");
}

int text_windows(FILE *out, const struct snapshot *s, bool colour)
{
	size_t first = s->window_cnt > rows_max(s) ? s->window_cnt - rows_max(s) : 0;
	struct table *t;
	int result;

	if (!s->window_cnt)
		return 0;
	t = table_new("lrrlrl");
	for (size_t i = first; i < s->window_cnt; i++)
		window_row(t, &s->windows[i], s->time_ns);
	fputs("  windows without the purge that was due\n", out);
	if (first)
		fprintf(out, "    %zu earlier\n", first);
	result = table_print(t, out, "    ", colour);
	table_free(t);
	return result;
}

/* "+1.20 MiB" */
static void cell_growth(struct table *t, int64_t bytes, const char *of)
{
	char text[UNITS_TEXT_MAX];
	uint64_t size = bytes < 0 ? -(uint64_t)bytes : (uint64_t)bytes;

	table_cell(t, TABLE_PLAIN, "%s%s %s", bytes < 0 ? "−" : "+", units_bytes(text, size), of);
}

static void churn_row(struct table *t, const struct churn_finding *c)
{
	table_cell(t, c->flagged ? TABLE_BOLD : TABLE_PLAIN, "%s", c->library ? c->library : "?");
	table_cell(t, TABLE_PLAIN, "%" PRIu64 " opens", c->opens);
	table_cell(t, c->flagged ? TABLE_BOLD : TABLE_PLAIN, "%" PRIu64 " repeats", c->repeats);
	table_cell(t, TABLE_PLAIN, "%" PRIu64 " new", c->new_mappings);
	table_cell(t, TABLE_PLAIN, "%" PRIu64 " failed", c->failures);
	table_cell(t, TABLE_PLAIN, "%" PRIu64 " closes", c->closes);
	table_time(t, c->ns);
	cell_growth(t, c->maps_grown, "maps");
	cell_growth(t, c->heap_grown, "heap");
	table_cell(t, TABLE_PLAIN, "%s%s", c->caller ? "by " : "", c->caller ? c->caller : "");
}

/* The rows that are flagged, or those that are not, as far as room is left. */
static void churn_rows(struct table *t, const struct snapshot *s, bool flagged, size_t *room)
{
	for (size_t i = 0; i < s->churn_cnt && *room; i++) {
		if (s->churn[i]->flagged == flagged) {
			churn_row(t, s->churn[i]);
			(*room)--;
		}
	}
}

int text_churn(FILE *out, const struct snapshot *s, bool colour)
{
	size_t room = rows_max(s);
	bool flagged = false;
	struct table *t;
	int result;

	if (!s->churn_cnt)
		return 0;
	for (size_t i = 0; i < s->churn_cnt; i++)
		flagged |= s->churn[i]->flagged;
	t = table_new("lrrrrrrrrl");
	churn_rows(t, s, true, &room);
	churn_rows(t, s, false, &room);
	fputs("  dlopen, since the attach\n", out);
	result = table_print(t, out, "    ", colour);
	if (s->churn_cnt > rows_max(s))
		fprintf(out, "    %zu more\n", s->churn_cnt - rows_max(s));
	if (flagged)
		fputs("    repeated opens cost CPU time and garbage, not memory: open once and keep the handle\n", out);
	table_free(t);
	return result;
}
