#include "report/heaptrack.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/gzip.h"
#include "base/printable.h"
#include "base/units.h"
#include "heap/state.h"
#include "report/budget_text.h"
#include "report/numbering.h"
#include "report/stack_steps.h"

#define WRITER_VERSION 0x010400 /* the heaptrack whose format this is */
#define FORMAT_VERSION 2
#define PAGE_SIZE 4096
#define GZIP_LEVEL 1 /* much repeats itself: a higher one takes three times as long for a fifth less */
#define NSEC_PER_MSEC (NSEC_PER_SEC / 1000)

struct writer {
	FILE *out;
	const struct snapshot *s;
	struct text_numbering texts;
	struct map places;  /* location → number */
	uint32_t place_cnt; /* those without a location too */
	struct numbering traces;
	uint32_t no_stack, truncated; /* places; 0: not written yet */
	struct stack_steps steps;
	struct heaptrack_booked *booked; /* by row */
	uint64_t unit;                   /* calls a line */
	uint64_t kind_cnt;
	int64_t sum;  /* as heaptrack adds up now */
	uint64_t ms;  /* the last time stamp */
	size_t point; /* of the history: the next one */
};

/* Its number; 0: no text, or no memory. */
static uint32_t text_of(struct writer *w, const char *text)
{
	char name[FRAME_TEXT_MAX];
	bool is_new;
	uint32_t number;

	if (!text)
		return 0;
	number = text_numbering_get(&w->texts, printable(name, sizeof(name), text), &is_new);
	if (is_new)
		fprintf(w->out, "s %s\n", name);
	return number;
}

/* A place that is none in code. */
static uint32_t place_of_words(struct writer *w, uint32_t *place, const char *words)
{
	uint32_t text = *place ? 0 : text_of(w, words);

	if (text) {
		fprintf(w->out, "i 0 0 %" PRIx32 " 0 0\n", text);
		*place = ++w->place_cnt;
	}
	return *place;
}

struct place_frame {
	uint32_t function, file;
	unsigned line;
};

static struct place_frame place_frame_of(struct writer *w, const struct frame_name *name)
{
	char text[FRAME_TEXT_MAX];

	return (struct place_frame){
		.function = text_of(w, frame_text(text, sizeof(text), name, &(struct frame_form){0})),
		.file = text_of(w, name->file),
		.line = name->file ? name->line : 0,
	};
}

/* The texts of a place come before it. 0, or −ENOMEM. */
static int put_place(struct writer *w, const struct location *at, const struct frame_list *list)
{
	struct place_frame *frames = malloc(list->cnt * sizeof(*frames));
	uint32_t module = text_of(w, list->v[list->cnt - 1].module);

	if (!frames)
		return -ENOMEM;
	for (uint32_t i = 0; i < list->cnt; i++)
		frames[i] = place_frame_of(w, &list->v[i]);
	fprintf(w->out, "i %" PRIx64 " %" PRIx32, at->addr, module);
	for (uint32_t i = list->cnt; i-- > 0;)
		fprintf(w->out, " %" PRIx32 " %" PRIx32 " %x", frames[i].function, frames[i].file,
			frames[i].line);
	putc('\n', w->out);
	free(frames);
	return 0;
}

/* Its number among all places; 0: no memory. */
static uint32_t place_of(struct writer *w, const struct location *at)
{
	uint32_t number = (uint32_t)(uintptr_t)map_get(&w->places, (uintptr_t)at);

	if (number)
		return number;
	if (map_set(&w->places, (uintptr_t)at, (void *)(uintptr_t)(w->place_cnt + 1)) ||
	    put_place(w, at, names_of(at)))
		return 0;
	return ++w->place_cnt;
}

/* Goes on from *node to the frame that is called there. */
static int go_in(struct writer *w, uint32_t *node, uint32_t place)
{
	bool is_new;
	uint32_t child = place ? numbering_child(&w->traces, *node, place, &is_new) : 0;

	if (!child)
		return -ENOMEM;
	if (is_new)
		fprintf(w->out, "t %" PRIx32 " %" PRIx32 "\n", place, *node);
	*node = child;
	return 0;
}

static uint64_t put_kind(struct writer *w, uint64_t size, uint32_t node)
{
	fprintf(w->out, "a %" PRIx64 " %" PRIx32 "\n", size, node);
	return w->kind_cnt++;
}

/*
 * A stack_number_fn. Each gets a kind of block here, of no size: heaptrack sorts stacks as their kinds
 * come, which takes long unless they come in order, and a free of kind 0 would look temporary.
 */
static int number_stack(void *form, const struct stack *stack, uint32_t *number)
{
	struct writer *w = form;
	uint32_t before = w->traces.cnt;
	int rc = 0;

	*number = 0;
	if (!stack || !stack->cnt)
		rc = go_in(w, number, place_of_words(w, &w->no_stack, "[no stack]"));
	else if (stack->cut)
		rc = go_in(w, number, place_of_words(w, &w->truncated, "[truncated]"));
	for (uint32_t i = 0; stack && i < stack->cnt && !rc; i++)
		rc = go_in(w, number, place_of(w, stack->locations[i]));
	if (w->traces.cnt > before)
		put_kind(w, 0, *number);
	return rc;
}

static void put_time(struct writer *w, uint64_t time_ns)
{
	uint64_t ms = time_ns > w->s->started_ns ? (time_ns - w->s->started_ns) / NSEC_PER_MSEC : 0;

	if (ms > w->ms)
		w->ms = ms;
	fprintf(w->out, "c %" PRIx64 "\n", w->ms);
}

static void put_rss(struct writer *w, uint64_t rss)
{
	if (rss != UNKNOWN)
		fprintf(w->out, "R %" PRIx64 "\n", rss / PAGE_SIZE);
}

/* RSS as it was up to then. */
static void put_points(struct writer *w, uint64_t time_ns)
{
	const struct history_view *h = &w->steps.history;

	for (; w->point < h->point_cnt && h->points[w->point].time_ns <= time_ns; w->point++) {
		put_time(w, h->points[w->point].time_ns);
		put_rss(w, h->points[w->point].rss);
	}
}

static void put_lines(struct writer *w, const char *line, uint64_t cnt)
{
	for (; cnt; cnt--)
		fputs(line, w->out);
}

/* So many blocks of so many bytes in all; released: each at once. */
static void put_blocks(struct writer *w, uint32_t node, uint64_t cnt, uint64_t bytes, bool released)
{
	uint64_t larger = cnt ? bytes % cnt : 0; /* by a byte, than the others */

	for (int i = 0; i < 2; i++) {
		uint64_t part = i ? cnt - larger : larger, kind;
		char line[64];

		if (!part)
			continue;
		kind = put_kind(w, bytes / cnt + !i, node);
		snprintf(line, sizeof(line), released ? "+ %" PRIx64 "\n- %" PRIx64 "\n" : "+ %" PRIx64 "\n",
			 kind, kind);
		put_lines(w, line, part);
	}
	if (!released)
		w->sum += (int64_t)bytes;
}

static void put_freed(struct writer *w, uint32_t node, uint64_t bytes)
{
	if (!bytes)
		return;
	fprintf(w->out, "- %" PRIx64 "\n", put_kind(w, bytes, node));
	w->sum -= (int64_t)bytes;
}

/* Whatever the sum is then, a temporary block does not raise it above the peak. */
static void put_temporary(struct writer *w, uint32_t node, const struct heaptrack_booking *b)
{
	uint64_t peak = w->s->allocs->totals.peak.bytes;
	int64_t room = (int64_t)peak - w->sum;
	uint64_t most = room > 0 ? (uint64_t)room : 0;
	uint64_t bytes = b->temporary_bytes;

	if (b->temporary && bytes / b->temporary >= most)
		bytes = most * b->temporary;
	put_blocks(w, node, b->temporary, bytes, true);
}

enum phase { FREED, TEMPORARY, ALLOCATED, PHASE_CNT };

static void put_row(struct writer *w, uint32_t row, enum phase phase, bool at_peak)
{
	const struct stack_row *r = &w->steps.rows[row];
	struct heaptrack_booked *booked = &w->booked[row];
	const struct heaptrack_booking b = heaptrack_book(r, booked, w->unit, at_peak);

	if (phase == FREED)
		put_freed(w, r->number, b.freed);
	else if (phase == TEMPORARY)
		put_temporary(w, r->number, &b);
	else {
		put_blocks(w, r->number, b.lines, b.bytes, false);
		heaptrack_booked_add(booked, &b);
	}
}

/* All frees come first: the sum goes down, then up to what it is at the end. */
static void put_peak(struct writer *w)
{
	put_points(w, w->s->allocs->totals.peak_ns);
	put_time(w, w->s->allocs->totals.peak_ns);
	for (int phase = 0; phase < PHASE_CNT; phase++)
		for (size_t i = 0; i < w->steps.row_cnt; i++)
			put_row(w, (uint32_t)i, phase, true);
}

static void put_step(struct writer *w)
{
	put_points(w, w->steps.end_ns);
	put_time(w, w->steps.end_ns);
	for (int phase = 0; phase < PHASE_CNT; phase++)
		for (size_t i = 0; i < w->steps.changed_cnt; i++)
			put_row(w, w->steps.changed[i], phase, false);
}

static void put_steps(struct writer *w)
{
	uint64_t peak_ns = w->s->allocs->totals.peak_ns;
	uint64_t end;

	while ((end = stack_steps_next_end(&w->steps))) {
		if (peak_ns && peak_ns <= end) {
			put_peak(w);
			peak_ns = 0;
		}
		stack_steps_next(&w->steps);
		put_step(w);
	}
	put_rss(w, w->s->rss);
}

static void put_head(struct writer *w)
{
	char name[FRAME_TEXT_MAX], seen[BUDGET_TEXT_MAX];
	uint64_t calls = 0;

	for (size_t i = 0; i < w->s->allocs->site_cnt; i++)
		calls += w->s->allocs->sites[i].figures->allocated.cnt;
	for (w->unit = 1; calls / w->unit > HEAPTRACK_LINES;)
		w->unit *= 10;
	printable(name, sizeof(name), w->s->command ? w->s->command : "");
	fprintf(w->out, "v %x %x\nX %s", WRITER_VERSION, FORMAT_VERSION, name);
	if (w->s->pid)
		fprintf(w->out, " (%d)", (int)w->s->pid);
	if (w->s->allocs->budget.estimated)
		fprintf(w->out, ", estimates: %s", budget_seen_text(seen, w->s->allocs));
	if (w->unit > 1)
		fprintf(w->out, ", a call here stands for %" PRIu64, w->unit);
	fprintf(w->out, "\nI %x 0\n", PAGE_SIZE);
}

static int put_all(struct writer *w)
{
	int rc;

	put_head(w);
	rc = stack_steps_begin(&w->steps, w->s, number_stack, w);
	if (rc)
		return rc;
	w->booked = calloc(w->steps.row_cnt ? w->steps.row_cnt : 1, sizeof(*w->booked));
	if (!w->booked)
		return -ENOMEM;
	put_steps(w);
	return 0;
}

/* Names change only here. */
static void want_names(const struct snapshot *s)
{
	for (size_t i = 0; i < s->allocs->site_cnt; i++)
		stack_want(s->names, s->allocs->sites[i].stack);
	names_wait(s->names);
}

int report_heaptrack(FILE *out, const struct snapshot *s)
{
	struct writer w = {.s = s};
	int rc;

	if (!s->allocs)
		return 0;
	w.out = gzip_stream(out, GZIP_LEVEL);
	if (!w.out)
		return -ENOMEM;
	want_names(s);
	rc = put_all(&w);
	errno = 0;
	if (ferror(w.out) && !rc)
		rc = -EIO;
	if (fclose(w.out) && (!rc || rc == -EIO))
		rc = errno ? -errno : -EIO;
	stack_steps_free(&w.steps);
	text_numbering_free(&w.texts);
	map_free(&w.places);
	numbering_free(&w.traces);
	free(w.booked);
	return rc;
}
