/* `alloctrace heap` for people: the sentence first, then why. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/printable.h"
#include "base/units.h"
#include "report/emit.h"
#include "report/figure.h"
#include "report/snapshot.h"
#include "report/table.h"
#include "report/verdict.h"

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
		if (sorted[i]->main)
			table_cell(t, TABLE_PLAIN, "main arena");
		else
			table_cell(t, TABLE_PLAIN, "arena %#" PRIx64, sorted[i]->addr);
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

static void kind_row(struct table *t, const char *name, uint64_t blocks, uint64_t bytes, const char *note)
{
	if (!bytes)
		return;
	table_cell(t, TABLE_PLAIN, "%s", name);
	table_bytes(t, TABLE_PLAIN, bytes);
	if (blocks)
		table_cell(t, TABLE_PLAIN, "%" PRIu64 " block%s", blocks, blocks > 1 ? "s" : "");
	else
		table_cell(t, TABLE_PLAIN, "%s", "");
	table_cell(t, TABLE_PLAIN, "%s", note);
}

/* Which lists the free bytes are on, and why some of them would not go back. */
static int put_kinds(FILE *out, const struct heap_figures *f)
{
	struct table *t = table_new("lrrl");

	kind_row(t, "free in bins", f->bins.cnt, f->bins.bytes, "coalesced with free neighbours");
	kind_row(t, "free in fastbins", f->fast.cnt, f->fast.bytes, "a purge coalesces them first");
	kind_row(t, "free in tcache", f->thread_cache.cnt, f->thread_cache.bytes, "kept for one thread each");
	kind_row(t, "free in tops", 0, f->top, "the ends of the arenas");
	kind_row(t, "pinned by neighbours", 0, f->pinned.partial,
		 "free, on pages that also carry live blocks");
	kind_row(t, "pinned in tops", 0, f->pinned.top, "no purge trims them");
	kind_row(t, "pinned in thread caches", 0, f->pinned.thread_cache, "never coalesced, never trimmed");
	kind_row(t, "pinned as overhead", 0, f->pinned.overhead, "the allocator's own headers");
	kind_row(t, "shared with other processes", 0, f->shared, "copy-on-write: not yet this process's own");
	kind_row(t, "purgeable but shared", 0, f->purgeable_shared, "would leave this RSS, not RAM");
	kind_row(t, "swapped", 0, f->swapped, "not read");
	return finish_table(t, out);
}

/* "128 B", the first of a class that spans a power of two */
static void class_row(struct table *t, unsigned i, const struct heap_walk *walk)
{
	const struct heap_blocks *live = &walk->live_class[i], *unused = &walk->free_class[i];
	char from[UNITS_TEXT_MAX];

	table_cell(t, TABLE_PLAIN, "%s", units_bytes(from, 1ULL << i));
	table_cell(t, TABLE_PLAIN, "%" PRIu64, live->cnt);
	table_bytes(t, TABLE_PLAIN, live->bytes);
	table_cell(t, TABLE_PLAIN, "%" PRIu64, unused->cnt);
	table_bytes(t, TABLE_PLAIN, unused->bytes);
}

static int put_classes(FILE *out, const struct heap_walk *walk)
{
	static const char *const names[] = {"from size", "live", "", "free", "", NULL};
	struct table *t = table_new("rrrrr");

	table_heading(t, names);
	for (unsigned i = 0; i < HEAP_CLASS_CNT; i++) {
		if (walk->live_class[i].cnt || walk->free_class[i].cnt)
			class_row(t, i, walk);
	}
	return finish_table(t, out);
}

/* mallopt(3) takes −1 for "never". */
static const char *threshold(char buf[UNITS_TEXT_MAX], uint64_t bytes)
{
	return bytes == UINT64_MAX ? "never" : units_bytes(buf, bytes);
}

static void put_walk(FILE *out, const struct heap_walk *walk)
{
	char trim[UNITS_TEXT_MAX], map[UNITS_TEXT_MAX], pad[UNITS_TEXT_MAX], took[UNITS_TEXT_MAX];

	fprintf(out, "  thresholds now: trim at free %s, mmap %s, top_pad %s\n",
		threshold(trim, walk->trim_threshold), threshold(map, walk->mmap_threshold),
		units_bytes(pad, walk->top_pad));
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

static int put_allocator(FILE *out, const struct heap_allocator *a)
{
	char name[48], held[UNITS_TEXT_MAX], resident[UNITS_TEXT_MAX];
	int result;

	fprintf(out, "\n%s %s\n", verdict_name(a, name, sizeof(name)),
		a->serving ? "serves this process" : "is loaded and does not serve this process");
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
		result = put_kinds(out, &a->walk.total);
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
