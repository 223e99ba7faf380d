/* Live memory that grows over the run: at sites, or where no probe sees who allocates. */
#include <math.h>
#include <stdio.h>

#include "verdict/rule.h"
#include "verdict/words.h"

struct growth {
	size_t sites;   /* that grow clearly */
	uint64_t grown; /* all of them */
	double per_second;
	const struct site_view *most;
	uint64_t most_grown, most_sure; /* … at the least, where it is an estimate */
	uint64_t unclear; /* what the one grew by that grew most, but not clearly (yet) */
};

/* What the figures of a site may be off by, beyond its bounds: of sampled stacks, and of frees that were lost. */
static double error_of(const struct rule_case *c, const struct site_view *view)
{
	const struct ledger_totals *t = &c->s->allocs->totals;
	double live = (double)view->figures->live.bytes;
	double error = view->bounds ? 0 : LEAK_ERRORS * sqrt((double)c->s->allocs->sample_bytes * live);

	if (t->allocated.cnt)
		error += 2 * (double)c->lost * (double)t->allocated.bytes / (double)t->allocated.cnt;
	return error;
}

static struct growth sites_that_grow(const struct rule_case *c)
{
	const struct allocation_view *a = c->s->allocs;
	struct growth g = {.sites = 0};

	for (size_t i = 0; i < a->site_cnt && i < TREND_SITES; i++) {
		const struct site_view *view = &a->sites[i];
		struct trend_rise rise;

		if (view->figures->live.bytes < LEAK_GROWN_MIN)
			break; /* by live bytes, largest first */
		rise = trend_rise_of_site(c->trend, view->number);
		if (!rise.clear && rise.grown > g.unclear)
			g.unclear = rise.grown;
		if (!rise.clear || rise.sure < LEAK_GROWN_MIN || (double)rise.sure < error_of(c, view))
			continue;
		g.sites++;
		g.grown += rise.grown;
		g.per_second += rise.per_second;
		if (rise.grown > g.most_grown) {
			g.most = view;
			g.most_grown = rise.grown;
			g.most_sure = rise.sure;
		}
	}
	return g;
}

/* All that is live: what grows at one site while as much goes at others has only moved. */
static struct trend_rise whole_rise(const struct rule_case *c, const struct trend *trend)
{
	bool state = c->s->heap->taken_ns && c->s->heap->live_heap != UNKNOWN;

	return trend_rise(trend, state ? TREND_LIVE : TREND_NET_LIVE);
}

/* A command that has done what it was started for: what it held to its end it may have needed. */
static bool is_command(const struct rule_case *c)
{
	return c->ended_well && c->span_ns < LEAK_COMMAND_NS;
}

static enum verdict_severity severity_of(const struct rule_case *c)
{
	return is_command(c) ? VERDICT_NOTE : VERDICT_WARNING;
}

static void advise_command(struct verdict_line *line)
{
	rule_advise(line, "no matter for a command that ends; a service that does this leaks");
}

static void say_figures(struct verdict_line *line, uint64_t grown, double per_second,
			const struct rule_case *c)
{
	rule_bytes(line, "grown", grown);
	rule_real(line, "bytes_per_second", per_second);
	rule_real(line, "seconds", (double)c->span_ns / 1e9);
}

/* A program that ends may free all that it held, and is read when it has: what was so before counts. */
static void say_until_its_end(const struct rule_case *c, struct verdict_line *line)
{
	struct trend before = *c->trend;
	char pace[UNITS_TEXT_MAX];
	struct trend_rise rise;

	before.cnt--;
	rise = whole_rise(c, &before);
	if (!c->s->gone || !rise.clear || rise.sure < LEAK_GROWN_MIN)
		return;
	rule_say(line, VERDICT_NOTE, rise.grown,
		 "live grew by %s a minute, clearly, until the program ended and freed it",
		 units_bytes(pace, (uint64_t)(rise.per_second * 60)));
	advise_command(line);
	say_figures(line, rise.grown, rise.per_second, c);
}

static void say_sites(const struct rule_case *c, const struct growth *g, struct verdict_line *line)
{
	char grown[UNITS_TEXT_MAX], pace[UNITS_TEXT_MAX], live[UNITS_TEXT_MAX], span[UNITS_TEXT_MAX],
		place[OWN_LINE_MAX], others[64] = "";
	const char *about = g->most->bounds ? "about " : "";

	rule_whom(c, line, g->most->stack, place);
	if (g->sites > 1)
		snprintf(others, sizeof(others), " and %zu more site%s", g->sites - 1,
			 g->sites > 2 ? "s" : "");
	rule_say(line, severity_of(c), g->grown,
		 "live grows by %s a minute, clearly, over %s: %s%s holds %s%s by now and grew by %s%s",
		 units_bytes(pace, (uint64_t)(g->per_second * 60)), units_time(span, c->span_ns),
		 place[0] ? place : "a site without a name", others,
		 about, units_bytes(live, g->most->figures->live.bytes), about,
		 units_bytes(grown, g->most_grown));
	if (is_command(c))
		advise_command(line);
	else
		rule_advise(line,
			    "a leak, a cache without a bound, or one unit of work longer than this run: find "
			    "what keeps what %s allocates",
			    place[0] ? place : "it");
	say_figures(line, g->grown, g->per_second, c);
	rule_count(line, "sites", g->sites);
	rule_bytes(line, "site_live", g->most->figures->live.bytes);
	rule_count(line, "site_blocks", g->most->figures->live.cnt);
	rule_bytes(line, "site_grown", g->most_grown);
	if (g->most->bounds)
		rule_bytes(line, "site_grown_least", g->most_sure);
}

/* The layer that grows as much as the whole; NULL: none does. */
static const struct heap_allocator *growing_layer(const struct rule_case *c, uint64_t grown)
{
	struct trend_rise rise = trend_rise(c->trend, TREND_LAYER_LIVE);

	for (size_t i = 0; rise.clear && rise.grown >= grown / 2 && i < c->s->heap->allocator_cnt; i++)
		if (heap_is_layer(&c->s->heap->allocators[i]))
			return &c->s->heap->allocators[i];
	return NULL;
}

static void say_unseen(const struct rule_case *c, const struct trend_rise *rise,
		       const struct heap_allocator *layer, struct verdict_line *line)
{
	char pace[UNITS_TEXT_MAX], span[UNITS_TEXT_MAX], name[48], where[160] = "";

	if (layer)
		snprintf(where, sizeof(where), ", in %s (%s)", verdict_name(layer, name, sizeof(name)),
			 layer->kind->layer);
	else if (c->s->allocs)
		snprintf(where, sizeof(where), ", at no single site that is %s",
			 c->s->allocs->budget.estimated ? "known well enough" : "seen");
	rule_say(line, severity_of(c), rise->grown, "live grows by %s a minute, clearly, over %s%s",
		 units_bytes(pace, (uint64_t)(rise->per_second * 60)), units_time(span, c->span_ns), where);
	if (is_command(c))
		advise_command(line);
	else if (layer)
		rule_advise(line, "who allocates there no probe sees: Python's tracemalloc tells, or "
				  "PYTHONMALLOC=malloc from the start and this again");
	else if (!c->s->allocs)
		rule_advise(line, "attach with probes on malloc (without --no-alloc, or with --stack "
				  "sampled:64K) to see who allocates");
	else
		rule_advise(line, "a longer run, or the sites by live bytes%s, may tell who allocates",
			    c->s->allocs->budget.estimated ? ", or a larger --max-overhead" : "");
	say_figures(line, rise->grown, rise->per_second, c);
}

/* Garbage in cycles that wait for a collection is live until then. */
static bool is_garbage(const struct rule_case *c, uint64_t grown)
{
	const struct verdict_line *gap = rule_said(c, VERDICT_NO_COLLECTION);

	return gap && gap->bytes >= grown / 2;
}

void rule_leak(const struct rule_case *c, struct verdict_line *line)
{
	struct trend_rise whole = whole_rise(c, c->trend);
	const struct heap_allocator *layer;
	struct growth g = {.sites = 0};

	if (!c->trend)
		return;
	if (c->s->allocs)
		g = sites_that_grow(c);
	if (is_garbage(c, g.grown > whole.grown ? g.grown : whole.grown))
		return;
	layer = whole.clear && g.grown < whole.grown / 2 ? growing_layer(c, whole.grown) : NULL;
	/* One that may yet turn out to be the one: wait. */
	if (whole.clear && !layer && !g.sites && g.unclear >= whole.grown / 2)
		return;
	if (g.sites && !layer && whole.grown >= g.grown / 2)
		say_sites(c, &g, line);
	else if (whole.clear && whole.sure >= LEAK_UNSEEN_MIN && g.grown < whole.grown / 2)
		say_unseen(c, &whole, layer, line);
	else if (!g.sites)
		say_until_its_end(c, line);
}
