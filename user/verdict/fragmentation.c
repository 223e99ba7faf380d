/* Free memory that no purge returns, since something lives beside it: and what. */
#include <inttypes.h>
#include <stdio.h>

#include "verdict/rule.h"
#include "verdict/words.h"

struct reason {
	uint64_t bytes;
	const char *name, *advice; /* name NULL: live blocks, whose sites are named */
};

/* The largest reason of the serving allocator's pins; as live blocks' where nobody knows. */
static struct reason main_reason(const struct rule_case *c)
{
	static const char *const pooling =
		"allocate what lives long together: from a pool, or before the work "
		"that comes and goes";
	const struct heap_pinned *p = &c->serving->walk.total.pinned;
	const struct reason all[] = {
		{p->partial, NULL, pooling},
		{p->top, "at the ends of arenas, which no purge trims", "fewer arenas, fewer threads"},
		{p->thread_cache, "in caches of threads", "fewer threads, or smaller caches"},
		{p->other_threads, "of other threads, which only a purge by these returns",
		 "purge on each thread, at the end of its unit of work"},
		{p->policy, "kept by the allocator's settings", "see its settings (alloctrace heap)"},
		{p->overhead, "the allocator's own headers", "fewer arenas, fewer threads"},
	};
	struct reason most = {0, NULL, pooling};

	for (size_t i = 0; c->serving->walked && i < sizeof(all) / sizeof(all[0]); i++)
		if (all[i].bytes > most.bytes)
			most = all[i];
	return most;
}

/* What it holds at the least: of a block that was not seen to go another site's may be in its place. */
static double surely_pinned(const struct site_view *v)
{
	uint64_t live = v->figures->live.bytes;
	double part = v->bounds && live ? (double)v->bounds->live.low.bytes / (double)live : 1;

	return part * (double)v->survey->pinned;
}

static const struct site_view *main_pinner(const struct rule_case *c)
{
	const struct allocation_view *a = c->s->allocs;
	const struct site_view *most = NULL;

	for (size_t i = 0; a && a->survey && i < a->site_cnt; i++)
		if (a->sites[i].survey && (!most || a->sites[i].survey->pinned > most->survey->pinned))
			most = &a->sites[i];
	if (!most || surely_pinned(most) < PIN_SHARE_MIN * (double)c->pinned)
		return NULL;
	return most;
}

/* ": 1.20 MiB in 3204 blocks of cache.py:40 keep 80.0 MiB of it" */
static void say_pinner(const struct rule_case *c, const struct site_view *v, struct verdict_line *line,
		       char *buf, size_t size)
{
	char live[UNITS_TEXT_MAX], pinned[UNITS_TEXT_MAX], place[OWN_LINE_MAX];

	rule_whom(c, line, v->stack, place);
	snprintf(buf, size, ": %s%s in %" PRIu64 " live block%s of %s keep %s of it",
		 v->bounds ? "about " : "", units_bytes(live, v->figures->live.bytes), v->figures->live.cnt,
		 v->figures->live.cnt == 1 ? "" : "s", place[0] ? place : "a site without a name",
		 units_bytes(pinned, v->survey->pinned));
	rule_bytes(line, "site_live", v->figures->live.bytes);
	rule_count(line, "site_blocks", v->figures->live.cnt);
	rule_bytes(line, "site_pinned", v->survey->pinned);
}

void rule_fragmentation(const struct rule_case *c, struct verdict_line *line)
{
	char pinned[UNITS_TEXT_MAX], live[UNITS_TEXT_MAX], by[OWN_LINE_MAX + 128] = "";
	const struct site_view *pinner;
	struct reason reason;

	if (c->pinned == UNKNOWN || c->live == UNKNOWN || c->pinned < c->much ||
	    !trend_has_lasted(c->trend, TREND_PINNED, c->much, RULE_LASTING_NS))
		return;
	reason = main_reason(c);
	pinner = reason.name ? NULL : main_pinner(c);
	if (pinner)
		say_pinner(c, pinner, line, by, sizeof(by));
	else if (reason.name)
		snprintf(by, sizeof(by), ", most of it %s", reason.name);
	rule_say(line, c->pinned >= c->live ? VERDICT_WARNING : VERDICT_NOTE, c->pinned,
		 "%s is free but pinned, beside %s live: no purge returns it%s",
		 units_bytes(pinned, c->pinned), units_bytes(live, c->live), by);
	rule_advise(line, "%s%s", reason.advice,
		    !reason.name && !pinner && c->s->allocs
			    ? "; the blocks are from before the attach, or of many sites"
			    : "");
	rule_bytes(line, "pinned", c->pinned);
	rule_bytes(line, "live", c->live);
}

static const struct heap_allocator *largest_layer(const struct rule_case *c)
{
	const struct heap_allocator *most = NULL;

	for (size_t i = 0; c->s->heap->taken_ns && i < c->s->heap->allocator_cnt; i++) {
		const struct heap_allocator *a = &c->s->heap->allocators[i];

		if (heap_is_layer(a) && a->retained != UNKNOWN && (!most || a->retained > most->retained))
			most = a;
	}
	return most;
}

void rule_pymalloc(const struct rule_case *c, struct verdict_line *line)
{
	const struct heap_allocator *a = largest_layer(c);
	char sentence[VERDICT_MAX];

	if (!a || a->retained < c->much ||
	    !trend_has_lasted(c->trend, TREND_LAYER_RETAINED, c->much, RULE_LASTING_NS))
		return;
	rule_say(line, a->retained >= a->live_heap ? VERDICT_WARNING : VERDICT_NOTE, a->retained, "%s",
		 verdict_layer_keeps(a, sentence));
	rule_advise(line, "%s", a->kind->remedy);
	rule_bytes(line, "retained", a->retained);
	rule_bytes(line, "live", a->live_heap);
	rule_count(line, "ranges", a->ranges.cnt);
	rule_count(line, "sparse", a->ranges.sparse);
	rule_bytes(line, "sparse_live", a->ranges.sparse_live);
	rule_bytes(line, "sparse_retained", a->ranges.sparse_retained);
}
