#include "report/text_sites.h"

#include <inttypes.h>

#include "picture/ranking.h"
#include "report/budget_text.h"
#include "report/figure.h"
#include "report/site_text.h"
#include "report/table.h"

#define ROWS_INTERVAL 5
#define ROWS_FINAL 10
#define CLASSES_SHOWN 2
#define REST_MIN MIB /* other pins are not worth a line below that */

static size_t rows_max(const struct snapshot *s)
{
	if (s->allocs->top)
		return s->allocs->top;
	return s->final ? ROWS_FINAL : ROWS_INTERVAL;
}

static void cell_count(struct table *t, uint64_t cnt)
{
	char text[UNITS_TEXT_MAX];

	table_cell(t, TABLE_PLAIN, "%s", figure_count(text, cnt));
}

static void cell_share(struct table *t, uint64_t part, uint64_t whole)
{
	char text[UNITS_TEXT_MAX];

	table_cell(t, TABLE_PLAIN, "%s", figure_share(text, whole ? (double)part / (double)whole : 0));
}

static void cell_site(struct table *t, const struct site_view *view)
{
	char text[SITE_TEXT_MAX];

	table_cell(t, TABLE_PLAIN, "%s", site_text(text, view ? view->stack : NULL));
}

/* Of what is known exactly nothing is said. */
static void cell_error(struct table *t, uint64_t figure, const struct bounds *bounds)
{
	char text[UNITS_TEXT_MAX];

	table_cell(t, TABLE_PLAIN, "%s",
		   bounds ? budget_error_text(text, figure, bounds->low.bytes, bounds->high.bytes) : "");
}

/* One of the tables: what sites are ranked by, and how a row of them looks. */
struct site_table {
	const char *align;
	const char *const *names;
	uint64_t (*weigh)(const struct site_view *view);
	void (*row)(struct table *t, const struct site_table *form, const struct ranked_site *site,
		    uint64_t total);
	bool errors;      /* a column says how far the figures may be off */
	const char *rest; /* "and 3 more sites " this " 1.20 MiB" */
};

static int put_table_of(FILE *out, const struct snapshot *s, const struct allocation_view *allocs,
			const struct site_table *form, bool colour)
{
	char bytes[UNITS_TEXT_MAX], cnt[UNITS_TEXT_MAX];
	struct table *t = table_new(form->align);
	struct ranking sites;
	uint64_t rest;
	size_t shown;
	int result = ranking_make(&sites, allocs, form->weigh);

	if (result || !sites.cnt)
		goto out;
	rest = sites.total;
	shown = sites.cnt < rows_max(s) ? sites.cnt : rows_max(s);
	table_heading(t, form->names);
	for (size_t i = 0; i < shown; i++)
		stack_want(s->names, sites.sites[i].view->stack);
	names_wait(s->names);
	for (size_t i = 0; i < shown; i++) {
		form->row(t, form, &sites.sites[i], sites.total);
		rest -= sites.sites[i].weight;
	}
	result = table_print(t, out, "  ", colour);
	if (shown < sites.cnt)
		fprintf(out, "  and %s more %s %s %s\n", figure_count(cnt, sites.cnt - shown),
			sites.cnt - shown == 1 ? "site" : "sites", form->rest, units_bytes(bytes, rest));
out:
	ranking_free(&sites);
	table_free(t);
	return result;
}

static int put_table(FILE *out, const struct snapshot *s, const struct site_table *form, bool colour)
{
	return put_table_of(out, s, s->allocs, form, colour);
}

static void live_row(struct table *t, const struct site_table *form, const struct ranked_site *site,
		     uint64_t total)
{
	const struct site *f = site->view->figures;

	table_bytes(t, TABLE_BOLD, site->weight);
	if (form->errors)
		cell_error(t, site->weight, site->view->bounds ? &site->view->bounds->live : NULL);
	cell_count(t, f->live.cnt);
	cell_share(t, site->weight, total);
	table_bytes(t, TABLE_PLAIN, f->allocated.bytes);
	table_bytes(t, TABLE_PLAIN, f->freed.bytes);
	cell_site(t, site->view);
}

static int put_live_sites(FILE *out, const struct snapshot *s, bool colour)
{
	static const char *const names[] = {"live by site", "blocks", "share", "allocated",
					    "freed",        "by",     NULL},
				 *const estimates[] = {"live by site, about", "±",     "blocks", "share",
						       "allocated",           "freed", "by",     NULL};
	bool errors = s->allocs->budget.estimated;
	const struct site_table form = {.align = errors ? "rrrrrrl" : "rrrrrl",
					.names = errors ? estimates : names,
					.weigh = ranking_weigh[WEIGHT_LIVE],
					.row = live_row,
					.errors = errors,
					.rest = "with"};

	return put_table(out, s, &form, colour);
}

static uint64_t old_bytes(const struct site_view *view)
{
	return view->survey ? view->survey->old.bytes : 0;
}

static void old_row(struct table *t, const struct site_table *form, const struct ranked_site *site,
		    uint64_t total)
{
	(void)form;
	table_bytes(t, TABLE_BOLD, site->weight);
	cell_count(t, site->view->survey->old.cnt);
	cell_share(t, site->weight, total);
	cell_site(t, site->view);
}

/* --older: in place of the live ones. */
static int put_old_sites(FILE *out, const struct snapshot *s, bool colour)
{
	char age[UNITS_TEXT_MAX], heading[UNITS_TEXT_MAX + 16];
	const char *const names[] = {heading, "blocks", "share", "by", NULL};
	const struct site_table form = {
		.align = "rrrl", .names = names, .weigh = old_bytes, .row = old_row, .rest = "with"};

	units_time(age, s->allocs->older_ns);
	if (!s->allocs->survey) {
		fprintf(out, "  live for %s or more: not known yet\n", age);
		return 0;
	}
	snprintf(heading, sizeof(heading), "live for %s", age);
	return put_table(out, s, &form, colour);
}

static void freed_row(struct table *t, const struct site_table *form, const struct ranked_site *site,
		      uint64_t total)
{
	table_bytes(t, TABLE_BOLD, site->weight);
	if (form->errors)
		cell_error(t, site->weight, site->view->bounds ? &site->view->bounds->freed_here : NULL);
	cell_count(t, site->view->figures->freed_here.cnt);
	cell_share(t, site->weight, total);
	cell_site(t, site->view);
}

static int put_freed_sites(FILE *out, const struct snapshot *s, bool colour)
{
	bool errors = s->allocs->budget.estimated;
	const char *heading = errors || s->allocs->free_sample_bytes ? "freed here, about" : "freed here";
	const char *const names[] = {heading, "blocks", "share", "by", NULL}, *const estimates[] = {
										      heading, "±",  "blocks",
										      "share", "by", NULL};
	const struct site_table form = {.align = errors ? "rrrrl" : "rrrl",
					.names = errors ? estimates : names,
					.weigh = ranking_weigh[WEIGHT_FREED],
					.row = freed_row,
					.errors = errors,
					.rest = "that freed"};

	return put_table(out, s, &form, colour);
}

static void pin_row(struct table *t, const struct site_table *form, const struct ranked_site *site,
		    uint64_t total)
{
	(void)form;
	(void)total;
	table_bytes(t, TABLE_PLAIN, site->view->figures->live.bytes);
	cell_count(t, site->view->figures->live.cnt);
	table_bytes(t, TABLE_BOLD, site->weight);
	table_bytes(t, TABLE_PLAIN, site->view->survey->alone);
	cell_site(t, site->view);
}

/* "64–127 bytes", "4.00–8.00 KiB" */
static const char *class_text(char buf[2 * UNITS_TEXT_MAX], unsigned class)
{
	char from[UNITS_TEXT_MAX], to[UNITS_TEXT_MAX];
	uint64_t min = 1ULL << class;

	if (min < KIB)
		snprintf(buf, 2 * UNITS_TEXT_MAX, "%" PRIu64 "–%" PRIu64 " bytes", min, 2 * min - 1);
	else
		snprintf(buf, 2 * UNITS_TEXT_MAX, "%s–%s", units_bytes(from, min), units_bytes(to, 2 * min));
	return buf;
}

/* The heaviest class that is lighter than last, or as heavy and of larger blocks; HEAP_CLASS_CNT: none. */
static unsigned next_class(const struct survey_result *survey, unsigned last)
{
	const struct heap_blocks *class = survey->rest_class;
	unsigned best = HEAP_CLASS_CNT;

	for (unsigned i = 0; i < HEAP_CLASS_CNT; i++) {
		bool after = last == HEAP_CLASS_CNT || class[i].bytes < class[last].bytes ||
			     (class[i].bytes == class[last].bytes && i > last);

		if (class[i].bytes && after && (best == HEAP_CLASS_CNT || class[i].bytes > class[best].bytes))
			best = i;
	}
	return best;
}

static void put_other_pins(FILE *out, const struct survey_result *survey)
{
	char bytes[UNITS_TEXT_MAX], size[2 * UNITS_TEXT_MAX];
	unsigned class = next_class(survey, HEAP_CLASS_CNT), shown;

	if (survey->rest.pinned < REST_MIN)
		return;
	fprintf(out, "  blocks from before the attach or cached hold %s",
		units_bytes(bytes, survey->rest.pinned));
	for (shown = 0; class < HEAP_CLASS_CNT && shown < CLASSES_SHOWN; shown++) {
		fprintf(out, "%s%s%s those of %s", shown ? "" : ":", shown ? ", " : " ",
			units_bytes(bytes, survey->rest_class[class].bytes), class_text(size, class));
		class = next_class(survey, class);
	}
	fputs(class < HEAP_CLASS_CNT ? ", …\n" : "\n", out);
}

/* What was freed since the walk holds nothing any more. */
static uint64_t held_by_live(const struct site_view *view)
{
	return view->figures->live.cnt ? ranking_weigh[WEIGHT_PINNED](view) : 0;
}

static int put_pins(FILE *out, const struct snapshot *s, bool colour)
{
	const struct survey_result *survey = s->allocs->survey;
	char age[UNITS_TEXT_MAX], heading[UNITS_TEXT_MAX + 32] = "hold free memory";
	const char *const names[] = {s->allocs->budget.estimated ? "live blocks from here, about"
								 : "live blocks from here",
				     "number",
				     heading,
				     "pages kept alone",
				     "by",
				     NULL};
	const struct site_table form = {
		.align = "rrrrl", .names = names, .weigh = held_by_live, .row = pin_row, .rest = "with"};
	int result;

	if (!survey)
		return 0;
	if (s->time_ns > survey->walked_ns + 10 * NSEC_PER_SEC)
		snprintf(heading, sizeof(heading), "held free memory %s ago",
			 units_time(age, s->time_ns - survey->walked_ns));
	result = put_table(out, s, &form, colour);
	put_other_pins(out, survey);
	return result;
}

static int put_objects(FILE *out, const struct snapshot *s, bool colour)
{
	static const char *const names[] = {"live objects by site", "number", "share", "allocated", "freed", "by", NULL},
				 *const estimates[] = {"live objects by site, about", "±", "number", "share",
						       "allocated", "freed", "by", NULL};
	const struct objects_view *v = s->allocs->objects;
	bool errors = v && v->sites.budget.estimated;
	const struct site_table form = {.align = errors ? "rrrrrrl" : "rrrrrl",
					.names = errors ? estimates : names,
					.weigh = ranking_weigh[WEIGHT_LIVE],
					.row = live_row,
					.errors = errors,
					.rest = "with"};
	char bytes[UNITS_TEXT_MAX], cnt[UNITS_TEXT_MAX];

	if (!v || !v->born.cnt)
		return 0;
	fprintf(out, "  Python objects of up to 512 bytes: born since the attach and live %s%s",
		v->in_cells || v->sites.sample_bytes ? "about " : "", units_bytes(bytes, v->sites.totals.live.bytes));
	if (v->live_heap != UNKNOWN)
		fprintf(out, " of %s", units_bytes(bytes, v->live_heap));
	fprintf(out, "; %s were %sborn", figure_count(cnt, v->born.cnt), v->in_cells ? "seen to be " : "");
	fprintf(out, " and %s %s\n", figure_count(cnt, v->died.cnt), v->in_cells ? "to die" : "died");
	if (v->in_cells && v->duty > 0)
		fprintf(out, "  their probes are on %s of the time\n", figure_share(cnt, v->duty));
	if (v->sites.sample_bytes)
		fprintf(out, "  by site: estimates, from one birth in %s on average\n",
			units_bytes(bytes, v->sites.sample_bytes));
	return put_table_of(out, s, &v->sites, &form, colour);
}

int text_sites(FILE *out, const struct snapshot *s, bool colour)
{
	int result = s->allocs->older_ns ? put_old_sites(out, s, colour) : put_live_sites(out, s, colour);

	if (result == 0)
		result = put_freed_sites(out, s, colour);
	result = result ?: put_pins(out, s, colour);
	return result ?: put_objects(out, s, colour);
}
