/* `alloctrace purge` for people. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/printable.h"
#include "report/emit.h"
#include "report/figure.h"
#include "report/purge.h"
#include "report/table.h"
#include "verdict/words.h"

#define THREADS_SHOWN 12

static int finish(FILE *mem, char **text, size_t *len, FILE *out)
{
	int result = fclose(mem) ? -ENOMEM : emit_bytes(out, *text, *len);

	free(*text);
	return result;
}

static void put_prediction(FILE *mem, const struct heap_allocator *a)
{
	char bytes[UNITS_TEXT_MAX], name[48];

	if (a->walked)
		fprintf(mem, "%s would return %s of %s retained", a->kind->purge_call,
			units_bytes(bytes, a->purgeable), units_bytes(name, a->retained));
	else
		fprintf(mem, "%s would return an unknown part of it (the heap of %s was not walked)",
			a->kind->purge_call, verdict_name(a, name, sizeof(name)));
}

int report_purge_begin(FILE *out, const struct purge_report *r)
{
	char *text = NULL, name[64], bytes[UNITS_TEXT_MAX], time[UNITS_TEXT_MAX];
	size_t len;
	FILE *mem = open_memstream(&text, &len);

	if (!mem)
		return -ENOMEM;
	fprintf(mem, "%s (%d)  RSS %s: ", printable(name, sizeof(name), r->process->comm), r->process->pid,
		figure_text(bytes, r->rss));
	put_prediction(mem, r->allocator);
	if (r->expected_ns && r->expected_ns != UNKNOWN)
		fprintf(mem, ", in %s %s", r->allocator->walked ? "about" : "at most",
			units_time(time, r->expected_ns));
	fputc('\n', mem);
	return finish(mem, &text, &len, out);
}

/* RSS without what is lazy-free, which counts as returned. */
static uint64_t kept(const struct process_usage *u)
{
	return u->rss > u->lazy_free ? u->rss - u->lazy_free : 0;
}

static void put_done(FILE *mem, const struct purge_report *r)
{
	const struct attempt *a = &r->search->done;
	uint64_t before = kept(&r->search->before), after = kept(&r->after);
	char bytes[UNITS_TEXT_MAX], from[UNITS_TEXT_MAX], to[UNITS_TEXT_MAX], call[WAIT_NAME_MAX];

	fprintf(mem, "%s %s", after <= before ? "returned" : "nothing returned: RSS grew meanwhile by",
		units_bytes(bytes, after <= before ? before - after : after - before));
	fprintf(mem, " (RSS %s → %s)", units_bytes(from, r->search->before.rss),
		units_bytes(to, r->after.rss));
	if (r->after.lazy_free)
		fprintf(mem, ", %s of it lazy-free", units_bytes(bytes, r->after.lazy_free));
	fprintf(mem, " in %s", units_time(bytes, a->returned_ns - a->entered_ns));
	fprintf(mem, "\nthread %d (%s), ", a->tid, r->search->done_name);
	if (a->place == ATTEMPT_ALLOCATING)
		fputs("met as it was to allocate or free,", mem);
	else
		fprintf(mem, "%s %s,",
			a->place == ATTEMPT_WAITING ? "waiting in" : "met as it came back from",
			wait_call_name(a->call.number, call));
	fprintf(mem, " was away for %s; the others ran on\n",
		units_time(from, a->released_ns - a->stopped_ns));
}

/* Why not, thread by thread; those alike, in a pool of a thousand, as one line. */
static int put_threads(FILE *mem, const struct search *search)
{
	static const char *const names[] = {"thread", "", "", NULL};
	struct table *t = table_new("rll");
	size_t shown = 0, left = 0;
	int result;

	table_heading(t, names);
	for (size_t i = 0; i < search->thread_cnt; i++) {
		const struct search_thread *th = &search->threads[i];
		char why[64 + WAIT_NAME_MAX], call[WAIT_NAME_MAX];

		if (shown == THREADS_SHOWN) {
			left++;
			continue;
		}
		shown++;
		snprintf(why, sizeof(why), "waits in %s: it can be called on",
			 wait_call_name(th->seen.call.number, call));
		table_cell(t, TABLE_PLAIN, "%d", th->tid);
		table_cell(t, TABLE_PLAIN, "%s", th->name);
		table_cell(t, TABLE_PLAIN, "%s", th->why[0] ? th->why : why);
	}
	if (left)
		table_line(t, "%zu more", left);
	result = table_print(t, mem, "  ", false);
	table_free(t);
	return result;
}

int report_purge_end(FILE *out, const struct purge_report *r)
{
	char *text = NULL;
	size_t len;
	int result = 0;
	FILE *mem = open_memstream(&text, &len);

	if (!mem)
		return -ENOMEM;
	if (r->done)
		put_done(mem, r);
	else if (r->refused)
		fprintf(mem, "not purged: %s; nothing was changed\n", r->refused);
	if (!r->done)
		result = put_threads(mem, r->search);
	if (result) {
		fclose(mem);
		free(text);
		return result;
	}
	return finish(mem, &text, &len, out);
}
