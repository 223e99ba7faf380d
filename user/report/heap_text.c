/* `alloctrace heap` for people: the sentence first, then why. */
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
#include "verdict/words.h"

#define ARENAS_SHOWN 16

static int finish_table(struct table *t, FILE *out)
{
	int result = table_print(t, out, "  ", false);

	table_free(t);
	fputc('\n', out);
	return result;
}

static uint64_t free_bytes(const struct heap_figures *f)
{
	return f->bins.bytes + f->fast.bytes + f->thread_cache.bytes + f->top;
}

static void figures_row(struct table *t, const struct heap_figures *f)
{
	table_bytes(t, TABLE_PLAIN, f->held);
	table_bytes(t, TABLE_PLAIN, f->resident);
	table_bytes(t, TABLE_PLAIN, f->live.bytes);
	table_bytes(t, TABLE_PLAIN, free_bytes(f));
	table_bytes(t, TABLE_PLAIN, f->largest_free);
	table_bytes(t, TABLE_PLAIN, f->retained);
	table_bytes(t, TABLE_PLAIN, f->purgeable);
	table_bytes(t, TABLE_PLAIN, heap_pinned_sum(&f->pinned));
}

static int by_held(const void *x, const void *y)
{
	const struct heap_arena *a = *(const struct heap_arena *const *)x;
	const struct heap_arena *b = *(const struct heap_arena *const *)y;

	return a->f.held < b->f.held ? 1 : a->f.held > b->f.held ? -1 : a->addr < b->addr ? -1 : 1;
}

static void arena_rows(struct table *t, const struct heap_arena **sorted, size_t cnt)
{
	struct heap_figures rest = {0};

	for (size_t i = 0; i < cnt && i < ARENAS_SHOWN; i++) {
		table_cell(t, TABLE_PLAIN, "%s", sorted[i]->name);
		figures_row(t, &sorted[i]->f);
	}
	for (size_t i = ARENAS_SHOWN; i < cnt; i++)
		heap_figures_add(&rest, &sorted[i]->f);
	if (cnt > ARENAS_SHOWN) {
		table_cell(t, TABLE_PLAIN, "%zu more", cnt - ARENAS_SHOWN);
		figures_row(t, &rest);
	}
}

static int put_arenas(FILE *out, const struct heap_walk *walk)
{
	static const char *const names[] = {
		"",         "held",      "resident", "live", "free", "largest free",
		"retained", "purgeable", "pinned",   NULL,
	};
	const struct heap_arena **sorted = calloc(walk->arena_cnt + 1, sizeof(*sorted));
	struct table *t = table_new("lrrrrrrrr");
	int result;

	table_heading(t, names);
	for (size_t i = 0; sorted && i < walk->arena_cnt; i++)
		sorted[i] = &walk->arenas[i];
	if (sorted) {
		qsort(sorted, walk->arena_cnt, sizeof(*sorted), by_held);
		arena_rows(t, sorted, walk->arena_cnt);
	}
	if (walk->mmapped.cnt) {
		table_cell(t, TABLE_PLAIN, "%" PRIu64 " mmapped block%s", walk->mmapped.cnt,
			   walk->mmapped.cnt > 1 ? "s" : "");
		table_bytes(t, TABLE_PLAIN, walk->mmapped.bytes);
		table_bytes(t, TABLE_PLAIN, walk->mmapped_resident);
		table_bytes(t, TABLE_PLAIN, walk->mmapped.bytes);
		table_end_row(t);
	}
	table_cell(t, TABLE_PLAIN, "total");
	figures_row(t, &walk->total);
	result = finish_table(t, out);
	if (!sorted)
		result = -ENOMEM;
	free(sorted);
	return result;
}

static void kind_row(struct table *t, const struct heap_word *word, uint64_t blocks, uint64_t bytes)
{
	if (!bytes || !word->name)
		return;
	table_cell(t, TABLE_PLAIN, "%s", word->name);
	table_bytes(t, TABLE_PLAIN, bytes);
	if (blocks)
		table_cell(t, TABLE_PLAIN, "%" PRIu64 " block%s", blocks, blocks > 1 ? "s" : "");
	else
		table_cell(t, TABLE_PLAIN, "%s", "");
	table_cell(t, TABLE_PLAIN, "%s", word->note);
}

/* What is not the allocator's to name. */
static const struct heap_word shared = {.name = "shared with other processes",
					.note = "copy-on-write: not yet this process's own"};
static const struct heap_word purgeable_shared = {.name = "purgeable but shared",
						  .note = "would leave this RSS, not RAM"};
static const struct heap_word swapped = {.name = "swapped", .note = "not read"};

/* Which lists the free bytes are on, and why some of them would not go back. */
static int put_kinds(FILE *out, const struct heap_words *words, const struct heap_figures *f)
{
	struct table *t = table_new("lrrl");

	kind_row(t, &words->bins, f->bins.cnt, f->bins.bytes);
	kind_row(t, &words->fast, f->fast.cnt, f->fast.bytes);
	kind_row(t, &words->thread_cache, f->thread_cache.cnt, f->thread_cache.bytes);
	kind_row(t, &words->top, 0, f->top);
	kind_row(t, &words->pinned.partial, 0, f->pinned.partial);
	kind_row(t, &words->pinned.top, 0, f->pinned.top);
	kind_row(t, &words->pinned.thread_cache, 0, f->pinned.thread_cache);
	kind_row(t, &words->pinned.other_threads, 0, f->pinned.other_threads);
	kind_row(t, &words->pinned.policy, 0, f->pinned.policy);
	kind_row(t, &words->pinned.overhead, 0, f->pinned.overhead);
	kind_row(t, &shared, 0, f->shared);
	kind_row(t, &purgeable_shared, 0, f->purgeable_shared);
	kind_row(t, &swapped, 0, f->swapped);
	return finish_table(t, out);
}

/* "128 B", the first of a class that spans a power of two */
static void class_row(struct table *t, unsigned i, const struct heap_walk *walk)
{
	const struct heap_blocks live = heap_live_class(walk, i), *unused = &walk->free_class[i];
	char from[UNITS_TEXT_MAX];

	table_cell(t, TABLE_PLAIN, "%s", units_bytes(from, 1ULL << i));
	table_cell(t, TABLE_PLAIN, "%" PRIu64, live.cnt);
	table_bytes(t, TABLE_PLAIN, live.bytes);
	table_cell(t, TABLE_PLAIN, "%" PRIu64, unused->cnt);
	table_bytes(t, TABLE_PLAIN, unused->bytes);
}

static int put_classes(FILE *out, const struct heap_walk *walk)
{
	static const char *const names[] = {"from size", "live", "", "free", "", NULL};
	struct table *t = table_new("rrrrr");

	table_heading(t, names);
	for (unsigned i = 0; i < HEAP_CLASS_CNT; i++) {
		if (heap_live_class(walk, i).cnt || walk->free_class[i].cnt)
			class_row(t, i, walk);
	}
	return finish_table(t, out);
}

static const char *setting_text(const struct heap_setting *s, char buf[UNITS_TEXT_MAX])
{
	if (s->unit == HEAP_NUMBER)
		snprintf(buf, UNITS_TEXT_MAX, "%" PRId64, s->value);
	else if (s->value < 0)
		return "never";
	else if (s->unit == HEAP_BYTES)
		units_bytes(buf, (uint64_t)s->value);
	else
		snprintf(buf, UNITS_TEXT_MAX, "%" PRId64 " ms", s->value);
	return buf;
}

static void put_settings(FILE *out, const struct heap_walk *walk)
{
	char value[UNITS_TEXT_MAX];

	for (size_t i = 0; i < walk->setting_cnt; i++)
		fprintf(out, "%s%s %s", i ? ", " : "  settings now: ", walk->settings[i].name,
			setting_text(&walk->settings[i], value));
	if (walk->setting_cnt)
		fputc('\n', out);
}

static void put_ranges(FILE *out, const struct heap_ranges *r)
{
	char size[UNITS_TEXT_MAX], live[UNITS_TEXT_MAX], kept[UNITS_TEXT_MAX];

	if (!r->cnt)
		return;
	fprintf(out, "  %" PRIu64 " %s of %s, which go back only as a whole", r->cnt, r->name,
		units_bytes(size, r->size)); /* of one walk: of one size */
	if (r->sparse)
		fprintf(out, "; %" PRIu64 " at most a tenth live: %s there hold %s back", r->sparse,
			units_bytes(live, r->sparse_live), units_bytes(kept, r->sparse_retained));
	if (r->empty)
		fprintf(out, "; %" PRIu64 " empty, kept for what comes next", r->empty);
	fputc('\n', out);
}

static void put_walk(FILE *out, const struct heap_walk *walk)
{
	char took[UNITS_TEXT_MAX];

	put_ranges(out, &walk->ranges);
	put_settings(out, walk);
	fprintf(out, "  walked in %s", units_time(took, walk->duration_ns));
	if (walk->retries)
		fprintf(out, ", %u times back because the heap had changed", walk->retries);
	if (walk->estimate)
		fputs(", an estimate: not all of it could be read or followed", out);
	fputc('\n', out);
	for (size_t i = 0; i < walk->arena_cnt; i++) {
		if (walk->arenas[i].inconsistent)
			fprintf(out, "  inconsistent at %#" PRIx64 ": %s\n", walk->arenas[i].inconsistent_at,
				walk->arenas[i].inconsistent);
	}
}

static void put_role(FILE *out, const struct heap_allocator *a)
{
	char name[48];

	fprintf(out, "\n%s ", verdict_name(a, name, sizeof(name)));
	if (!a->kind->layer)
		fprintf(out, "%s\n",
			a->serving ? "serves this process" : "is loaded and does not serve this process");
	else if (heap_is_layer(a))
		fprintf(out, "serves %s\n", a->kind->layer);
	else
		fputs("is not in use\n", out);
}

static int put_allocator(FILE *out, const struct heap_allocator *a)
{
	char held[UNITS_TEXT_MAX], resident[UNITS_TEXT_MAX];
	int result;

	put_role(out, a);
	if (!a->walked) {
		if (a->serving)
			fprintf(out,
				"  held %s, resident %s at most; live –, retained –, purgeable –, pinned –\n",
				figure_text(held, a->held), figure_text(resident, a->resident));
		return 0;
	}
	fputc('\n', out);
	result = put_arenas(out, &a->walk);
	if (result == 0)
		result = put_kinds(out, a->walk.words, &a->walk.total);
	if (result == 0)
		result = put_classes(out, &a->walk);
	put_walk(out, &a->walk);
	return result;
}

static void put_head(FILE *out, const struct snapshot *s)
{
	char name[64], sentence[VERDICT_MAX], bytes[UNITS_TEXT_MAX];

	fprintf(out, "%s (%d)  RSS %s", printable(name, sizeof(name), s->command), s->pid,
		figure_text(bytes, s->rss));
	if (s->lazy_free && s->lazy_free != UNKNOWN)
		fprintf(out, ", %s of it lazy-free", units_bytes(bytes, s->lazy_free));
	if (s->swap && s->swap != UNKNOWN)
		fprintf(out, ", %s swapped", units_bytes(bytes, s->swap));
	fprintf(out, "\n%s\n", verdict_sentence(s, sentence));
	if (verdict_layer(s, sentence))
		fprintf(out, "%s\n", sentence);
}

static int put_heap(FILE *out, const struct snapshot *s, bool colour)
{
	char line[512];
	int result = 0;

	(void)colour;
	put_head(out, s);
	for (size_t i = 0; i < s->heap->allocator_cnt && result == 0; i++)
		result = put_allocator(out, &s->heap->allocators[i]);
	for (size_t i = 0; i < s->missing_cnt; i++)
		fprintf(out, "%snot seen: %s\n", i ? "" : "\n", printable(line, sizeof(line), s->missing[i]));
	return result;
}

int report_heap_text(FILE *out, const struct snapshot *s)
{
	return emit_form(out, put_heap, s, false);
}
