#include "report/text_findings.h"

#include <inttypes.h>
#include <time.h>

#include "base/clock.h"
#include "base/units.h"
#include "report/site_text.h"
#include "report/table.h"
#include "verdict/words.h"

/* A person reads some ten lines of a kind; the rest is summed up in one (and is whole in JSON). */
#define ROWS_INTERVAL 8
#define ROWS_FINAL 20
#define FREED_INTERVAL 3 /* sites a window; in the final report all that are known */

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

/* With the prediction's age where it is old enough to matter. */
static void cell_predicted(struct table *t, const struct purge_finding *p)
{
	char bytes[UNITS_TEXT_MAX], age[UNITS_TEXT_MAX];

	if (p->predicted == UNKNOWN || p->prediction_age_ns < NSEC_PER_SEC)
		table_bytes(t, TABLE_PLAIN, p->predicted);
	else
		table_cell(t, TABLE_PLAIN, "%s, %s before", units_bytes(bytes, p->predicted),
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
		table_cell(t, TABLE_RED, "MISDIRECTED: %s serves this process, call %s", serving->kind->name,
			   call);
}

static void cell_stack(struct table *t, const struct snapshot *s, const struct stack *stack)
{
	char text[SITE_TEXT_MAX];

	stack_want(s->names, stack);
	names_wait(s->names);
	table_cell(t, TABLE_PLAIN, "%s", stack ? site_text(text, stack) : "?");
}

static void purge_row(struct table *t, const struct snapshot *s, size_t i)
{
	const struct purge_finding *p = s->purges[i];
	char at[TEXT_CLOCK_MAX], argument[VERDICT_ARGUMENT_MAX], in[24] = "";
	const char *asked = verdict_purge_argument(p, argument);

	if (s->purge_pids)
		snprintf(in, sizeof(in), " in %d", s->purge_pids[i]);
	table_cell(t, TABLE_PLAIN, "%s", text_clock(at, p->time_ns));
	table_cell(t, TABLE_PLAIN, "%s%s%s%s", p->function, asked ? " " : "", asked ? asked : "", in);
	table_time(t, p->duration_ns);
	table_bytes(t, TABLE_BOLD, p->returned);
	cell_predicted(t, p);
	cell_stack(t, s, p->stack);
	cell_verdict(t, s, p);
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
		fprintf(out,
			"  and %zu earlier: %s returned, %" PRIu64 " ineffective, %" PRIu64 " misdirected\n",
			cnt, units_bytes(bytes, returned), ineffective, misdirected);
	if (forgotten)
		fprintf(out, "  and %" PRIu64 " before those, in the totals only\n", forgotten);
}

int text_purges(FILE *out, const struct snapshot *s, bool colour)
{
	static const char *const names[] = {"purge", "", "took", "returned", "predicted", "by", NULL};
	size_t first = s->purge_cnt > rows_max(s) ? s->purge_cnt - rows_max(s) : 0;
	struct table *t;
	int result;

	if (!s->purge_cnt)
		return 0;
	t = table_new("llrrrll");
	table_heading(t, names);
	for (size_t i = first; i < s->purge_cnt; i++)
		purge_row(t, s, i);
	result = table_print(t, out, "  ", colour);
	earlier_purges(out, s, first);
	table_free(t);
	return result;
}

/* What ended it, or did not. */
static void cell_window_end(struct table *t, const struct window_finding *w)
{
	const char *end = w->closed_by_purge    ? "closed by a purge"
			  : w->closed_by_itself ? "closed: the allocator returned it by itself"
			  : w->end_ns           ? "closed"
						: "still open";

	if (w->ineffective_purges)
		table_cell(t, TABLE_PLAIN, "%s; %u purge%s in it did not help", end, w->ineffective_purges,
			   w->ineffective_purges > 1 ? "s" : "");
	else
		table_cell(t, TABLE_PLAIN, "%s", end);
}

static void window_row(struct table *t, const struct snapshot *s, size_t i)
{
	char from[TEXT_CLOCK_MAX], to[TEXT_CLOCK_MAX], in[24] = "";
	const struct window_finding *w = &s->windows[i];
	uint64_t end = w->end_ns ? w->end_ns : s->time_ns;

	if (s->window_pids)
		snprintf(in, sizeof(in), " in %d", s->window_pids[i]);
	table_cell(t, TABLE_PLAIN, "%s–%s%s", text_clock(from, w->start_ns),
		   w->end_ns ? text_clock(to, end) : "now", in);
	table_time(t, end > w->start_ns ? end - w->start_ns : 0);
	table_bytes(t, TABLE_PLAIN, w->peak_retained);
	table_bytes(t, TABLE_BOLD, w->peak_purgeable);
	cell_window_end(t, w);
}

/* Who freed most of what was then retained. */
static void window_freed(struct table *t, const struct snapshot *s, const struct window_finding *w)
{
	unsigned cnt = s->final || w->freed_cnt < FREED_INTERVAL ? w->freed_cnt : FREED_INTERVAL;
	const struct allocation_view *a = s->allocs;
	char bytes[UNITS_TEXT_MAX], site[SITE_TEXT_MAX];

	for (unsigned i = 0; a && i < cnt; i++) {
		uint32_t number = w->freed[i].site;
		const struct site_view *view = number < a->number_cnt ? a->by_number[number] : NULL;

		stack_want(s->names, view ? view->stack : NULL);
		names_wait(s->names);
		if (w->freed[i].bytes)
			table_line(t, "  %s%8s freed in it by %s", a->free_sample_bytes ? "about " : "",
				   units_bytes(bytes, w->freed[i].bytes),
				   site_text(site, view ? view->stack : NULL));
	}
}

int text_windows(FILE *out, const struct snapshot *s, bool colour)
{
	static const char *const names[] = {
		"purge missing", "for", "peak retained", "a purge then would have returned", NULL,
	};
	size_t first = s->window_cnt > rows_max(s) ? s->window_cnt - rows_max(s) : 0;
	struct table *t;
	int result;

	if (!s->window_cnt)
		return 0;
	t = table_new("lrrrl");
	table_heading(t, names);
	for (size_t i = first; i < s->window_cnt; i++) {
		window_row(t, s, i);
		window_freed(t, s, &s->windows[i]);
	}
	result = table_print(t, out, "  ", colour);
	if (first)
		fprintf(out, "  and %zu earlier\n", first);
	table_free(t);
	return result;
}

/* "+1.20 MiB" */
static void cell_growth(struct table *t, int64_t bytes)
{
	char text[UNITS_TEXT_MAX];
	uint64_t size = bytes < 0 ? -(uint64_t)bytes : (uint64_t)bytes;

	table_cell(t, TABLE_PLAIN, "%s%s", bytes < 0 ? "−" : bytes > 0 ? "+" : "", units_bytes(text, size));
}

static void churn_row(struct table *t, const struct snapshot *s, const struct churn_finding *c)
{
	table_cell(t, c->flagged ? TABLE_BOLD : TABLE_PLAIN, "%s", c->library ? c->library : "?");
	table_cell(t, TABLE_PLAIN, "%" PRIu64, c->opens);
	table_cell(t, c->flagged ? TABLE_BOLD : TABLE_PLAIN, "%" PRIu64, c->repeats);
	table_cell(t, TABLE_PLAIN, "%" PRIu64, c->new_mappings);
	table_cell(t, TABLE_PLAIN, "%" PRIu64, c->failures);
	table_cell(t, TABLE_PLAIN, "%" PRIu64, c->closes);
	table_time(t, c->ns);
	cell_growth(t, c->maps_grown);
	cell_growth(t, c->heap_grown);
	cell_stack(t, s, c->stack);
}

/* An import: opened once, and it worked. A program has hundreds, and none of them is news. */
static bool is_ordinary(const struct churn_finding *c)
{
	return c->opens == 1 && !c->failures && !c->flagged;
}

/* The rows that are flagged, or those that are not, as far as room is left. */
static size_t churn_rows(struct table *t, const struct snapshot *s, bool flagged, size_t room)
{
	size_t shown = 0;

	for (size_t i = 0; i < s->churn_cnt && shown < room; i++) {
		if (s->churn[i]->flagged == flagged && !is_ordinary(s->churn[i])) {
			churn_row(t, s, s->churn[i]);
			shown++;
		}
	}
	return shown;
}

static void put_ordinary(FILE *out, const struct snapshot *s, size_t cnt)
{
	char bytes[UNITS_TEXT_MAX];
	int64_t grown = 0;

	for (size_t i = 0; i < s->churn_cnt; i++)
		grown += is_ordinary(s->churn[i]) ? s->churn[i]->maps_grown : 0;
	fprintf(out, "  %zu %s opened once%s, which mapped %s\n", cnt, cnt == 1 ? "library" : "libraries",
		cnt == 1 ? "" : " each", units_bytes(bytes, grown > 0 ? (uint64_t)grown : 0));
}

int text_churn(FILE *out, const struct snapshot *s, bool colour)
{
	static const char *const names[] = {
		"dlopen since the attach",
		"opens",
		"repeats",
		"new",
		"failed",
		"closes",
		"took",
		"maps",
		"heap",
		"by",
		NULL,
	};
	size_t flagged = 0, ordinary = 0, shown;
	struct table *t;
	int result = 0;

	for (size_t i = 0; i < s->churn_cnt; i++) {
		flagged += s->churn[i]->flagged;
		ordinary += is_ordinary(s->churn[i]);
	}
	t = table_new("lrrrrrrrrl");
	table_heading(t, names);
	shown = churn_rows(t, s, true, rows_max(s));
	shown += churn_rows(t, s, false, rows_max(s) - shown);
	if (shown)
		result = table_print(t, out, "  ", colour);
	if (shown + ordinary < s->churn_cnt)
		fprintf(out, "  and %zu more\n", s->churn_cnt - ordinary - shown);
	if (ordinary)
		put_ordinary(out, s, ordinary);
	if (flagged)
		fputs("  repeated opens cost CPU time and garbage, not memory: open once and keep the "
		      "handle\n",
		      out);
	table_free(t);
	return result;
}
