/*
 * The periodic summary of attach, for a tired person: the first line has the figures, what is
 * largest comes first, and what has nothing to say is left out. The verdict leads the final report;
 * in an interval it is shown when it has something new to say.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/printable.h"
#include "base/units.h"
#include "report/emit.h"
#include "report/report.h"
#include "report/figure.h"
#include "picture/snapshot.h"
#include "report/table.h"
#include "report/text_allocs.h"
#include "report/text_cgroup.h"
#include "report/text_collector.h"
#include "report/text_findings.h"
#include "report/text_marks.h"
#include "report/text_processes.h"
#include "report/text_verdict.h"
#include "verdict/words.h"

#define SHMEM_MIN MIB /* below that not worth a remark */

struct style {
	const char *bold, *end;
};

static const struct style coloured = {"\033[1m", "\033[0m"}, plain = {"", ""};

/* "310 MiB live, 1.55 GiB retained, of it 1.44 GiB purgeable (…), 96.0 MiB pinned" */
static void put_figures(FILE *out, const struct snapshot *s, const struct style *style)
{
	char live[UNITS_TEXT_MAX], retained[UNITS_TEXT_MAX], purgeable[UNITS_TEXT_MAX],
		pinned[UNITS_TEXT_MAX];
	const struct heap_state *h = s->heap;
	const char *call = verdict_purge_call(s);

	fprintf(out, "%s live, %s%s retained%s, of it %s%s purgeable%s", units_bytes(live, h->live_heap),
		style->bold, units_bytes(retained, h->retained), style->end, style->bold,
		units_bytes(purgeable, h->purgeable), style->end);
	if (call && h->purgeable >= MIB)
		fprintf(out, " (%s would return it)", call);
	fprintf(out, ", %s pinned", units_bytes(pinned, h->pinned));
}

static void put_head(FILE *out, const struct snapshot *s, const struct style *style)
{
	char at[TEXT_CLOCK_MAX], rss[UNITS_TEXT_MAX], name[256], sentence[VERDICT_MAX];
	const struct heap_state *h = s->heap;

	fprintf(out, "%s  %s%s", text_clock(at, s->time_ns), style->bold,
		printable(name, sizeof(name), s->command));
	if (s->processes)
		text_process_counts(out, s);
	else
		fprintf(out, " (%d)", s->pid);
	fprintf(out, "%s  RSS %s: ", style->end, figure_text(rss, s->rss));
	if (h->taken_ns && verdict_serving(s) && h->live_heap != UNKNOWN && h->retained != UNKNOWN &&
	    h->purgeable != UNKNOWN && h->pinned != UNKNOWN)
		put_figures(out, s, style);
	else
		fputs(verdict_sentence(s, sentence), out);
	fputc('\n', out);
}

/* Whether a purge has worked since the heap was read: then RSS and the heap's figures do not go together. */
static bool precedes_purge(const struct snapshot *s)
{
	for (size_t i = s->purge_cnt; i > 0; i--) {
		const struct purge_finding *p = s->purges[i - 1];

		if (p->effective && p->time_ns + p->duration_ns > s->heap->taken_ns)
			return true;
	}
	return false;
}

/* What qualifies the first line, where there is something to say. */
static void put_remarks(FILE *out, const struct snapshot *s)
{
	char bytes[UNITS_TEXT_MAX];
	const char *separator = "  ";
	bool stale = precedes_purge(s);

	if (s->heap->taken_ns && (stale || verdict_state_age(s) > 1)) {
		fprintf(out, "%sheap as it was %.1f s ago%s", separator, verdict_state_age(s),
			stale ? ", before the last purge" : "");
		separator = ", ";
	}
	if (s->shmem != UNKNOWN && s->shmem >= SHMEM_MIN && s->shmem >= s->rss / 8) {
		fprintf(out, "%s%s of RSS shared memory%s", separator, units_bytes(bytes, s->shmem),
			s->processes ? ", counted in each process that has touched it" : "");
		separator = ", ";
	}
	if (s->lazy_free && s->lazy_free != UNKNOWN) {
		fprintf(out, "%s%s of RSS lazy-free: the kernel takes it when it needs it", separator,
			units_bytes(bytes, s->lazy_free));
		separator = ", ";
	}
	if (s->swap && s->swap != UNKNOWN) {
		fprintf(out, "%s%s swapped", separator, units_bytes(bytes, s->swap));
		separator = ", ";
	}
	if (separator[0] == ',')
		fputc('\n', out);
}

static int by_resident(const void *x, const void *y)
{
	const struct heap_allocator *a = *(const struct heap_allocator *const *)x;
	const struct heap_allocator *b = *(const struct heap_allocator *const *)y;
	uint64_t left = a->resident == UNKNOWN ? 0 : a->resident,
		 right = b->resident == UNKNOWN ? 0 : b->resident;

	if (a->serving != b->serving)
		return a->serving ? -1 : 1;
	return left < right ? 1 : left > right ? -1 : 0;
}

static void allocator_row(struct table *t, const struct heap_allocator *a)
{
	char name[48];

	table_cell(t, TABLE_PLAIN, "%s", verdict_name(a, name, sizeof(name)));
	table_bytes(t, TABLE_PLAIN, a->held);
	table_bytes(t, TABLE_PLAIN, a->resident);
	table_bytes(t, TABLE_PLAIN, a->live_heap);
	table_bytes(t, TABLE_BOLD, a->retained);
	table_bytes(t, TABLE_BOLD, a->purgeable);
	table_bytes(t, TABLE_PLAIN, a->pinned);
	if (a->kind->layer)
		table_cell(t, TABLE_PLAIN, "%s", heap_is_layer(a) ? a->kind->layer : "not in use");
	else
		table_cell(t, TABLE_PLAIN, "%s", a->serving ? "serves" : "does not serve");
}

static int put_allocators(FILE *out, const struct snapshot *s, bool colour)
{
	static const char *const names[] = {
		"allocator", "held", "resident", "live", "retained", "purgeable", "pinned", NULL,
	};
	size_t cnt = s->heap->allocator_cnt;
	const struct heap_allocator **sorted;
	struct table *t;
	int result = -ENOMEM;

	if (!cnt)
		return 0;
	sorted = calloc(cnt, sizeof(*sorted));
	t = table_new("lrrrrrrl");
	if (!sorted || !t)
		goto out;
	for (size_t i = 0; i < cnt; i++)
		sorted[i] = &s->heap->allocators[i];
	qsort(sorted, cnt, sizeof(*sorted), by_resident);
	table_heading(t, names);
	for (size_t i = 0; i < cnt; i++)
		allocator_row(t, sorted[i]);
	result = table_print(t, out, "  ", colour);
out:
	table_free(t);
	free(sorted);
	return result;
}

/* "  of it by allocators themselves: jemalloc 88.0 MiB (and 12.0 MiB lazily)"; glibc's is its trim at free.
 */
static void put_own_returns(FILE *out, const struct snapshot *s)
{
	const char *separator = "  of it by allocators themselves: ";
	char bytes[UNITS_TEXT_MAX];

	for (size_t i = 0; i < s->own_return_cnt; i++) {
		const struct own_return *r = &s->own_returns[i];

		if (!r->lazy && (!r->bytes || r->bytes == s->returned.trim))
			continue;
		fprintf(out, "%s%s %s", separator, r->kind->name, units_bytes(bytes, r->bytes));
		if (r->lazy)
			fprintf(out, " (and %s lazily)", units_bytes(bytes, r->lazy));
		separator = ", ";
	}
	if (separator[0] == ',')
		fputc('\n', out);
}

static void put_returned(FILE *out, const struct snapshot *s)
{
	char a[UNITS_TEXT_MAX], b[UNITS_TEXT_MAX], c[UNITS_TEXT_MAX], d[UNITS_TEXT_MAX];
	const struct returned *r = &s->returned;

	if (r->purge || r->trim || r->munmap || r->madvise)
		fprintf(out,
			"  returned since the attach: %s by purges, %s by trim at free, %s by munmap, %s by "
			"madvise\n",
			units_bytes(a, r->purge), units_bytes(b, r->trim), units_bytes(c, r->munmap),
			units_bytes(d, r->madvise));
	put_own_returns(out, s);
	if (r->taken_brk || r->taken_mmap)
		fprintf(out, "  address space taken since the attach: %s by brk, %s by mmap\n",
			units_bytes(a, r->taken_brk), units_bytes(b, r->taken_mmap));
}

static void put_blind_spots(FILE *out, const struct snapshot *s)
{
	const char *separator = "  events lost: ";
	char line[512];

	for (size_t i = 0; i < SOURCE_LOSS_CNT; i++) {
		if (!s->lost[i])
			continue;
		fprintf(out, "%s%" PRIu64 " %s", separator, s->lost[i], source_loss_names[i]);
		separator = ", ";
	}
	if (separator[0] == ',')
		fputs(": what rests on events may be incomplete\n", out);
	for (size_t i = 0; i < s->missing_cnt; i++)
		fprintf(out, "  not seen: %s\n", printable(line, sizeof(line), s->missing[i]));
}

static void put_final(FILE *out, const struct snapshot *s)
{
	char span[UNITS_TEXT_MAX], line[256];

	fprintf(out, "Final report after %s: %s\n", units_time(span, s->time_ns - s->started_ns),
		printable(line, sizeof(line), s->ended ? s->ended : "done"));
}

static int put_summary(FILE *out, const struct snapshot *s, bool colour)
{
	char layer[VERDICT_MAX];
	int result = 0;

	if (s->final) {
		put_final(out, s);
		result = text_verdict(out, s, colour);
	}
	put_head(out, s, colour ? &coloured : &plain);
	put_remarks(out, s);
	if (!s->final && s->verdict_is_news)
		result = text_verdict(out, s, colour);
	text_cgroup(out, s, colour);
	if (verdict_layer(s, layer))
		fprintf(out, "  %s\n", layer);
	if (result == 0)
		result = text_processes(out, s, colour);
	if (result == 0)
		result = put_allocators(out, s, colour);
	if (result == 0)
		result = text_allocs(out, s, colour);
	if (result == 0)
		result = text_purges(out, s, colour);
	if (result == 0)
		result = text_windows(out, s, colour);
	if (result == 0)
		result = text_marks(out, s, colour);
	if (result == 0)
		result = text_collector(out, s, colour);
	if (result == 0)
		result = text_churn(out, s, colour);
	put_returned(out, s);
	put_blind_spots(out, s);
	fputc('\n', out);
	return result;
}

int report_text(FILE *out, const struct snapshot *s, bool colour)
{
	return emit_form(out, put_summary, s, colour);
}
