#include "verdict/rule.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "detect/window.h"
#include "verdict/words.h"

const char *const verdict_severity_names[VERDICT_SEVERITY_CNT] = {
	[VERDICT_CRITICAL] = "critical",
	[VERDICT_WARNING] = "warning",
	[VERDICT_NOTE] = "note",
	[VERDICT_OK] = "ok",
};

/* In the order in which they are asked: some look at what was said before them. */
static const struct {
	const char *name;
	enum verdict_rule number;
	rule_fn *judge;
} rules[] = {
	{"no_collection", VERDICT_NO_COLLECTION, rule_no_collection},
	{"leak", VERDICT_LEAK, rule_leak},
	{"purge_rare", VERDICT_PURGE_RARE, rule_purge_rare},
	{"purge_often", VERDICT_PURGE_OFTEN, rule_purge_often},
	{"retention", VERDICT_RETENTION, rule_retention},
	{"misdirected", VERDICT_MISDIRECTED, rule_misdirected},
	{"fragmentation", VERDICT_FRAGMENTATION, rule_fragmentation},
	{"pymalloc", VERDICT_PYMALLOC, rule_pymalloc},
	{"dlopen_churn", VERDICT_CHURN, rule_churn},
	{"limit", VERDICT_LIMIT, rule_limit},
	{"uncertain", VERDICT_UNCERTAIN, rule_uncertain},
	{"fine", VERDICT_FINE, rule_fine},
};

_Static_assert(sizeof(rules) / sizeof(rules[0]) == VERDICT_RULE_CNT, "a row each");

static uint64_t sum_lost(const struct snapshot *s)
{
	/* A stack or a frame that is missing loses no figure. */
	static const int causes[] = {LOSS_RING_FULL, LOSS_PENDING_FULL, LOSS_NO_RETURN, LOSS_UNREADABLE,
				     SOURCE_LOSS_MALFORMED};
	uint64_t sum = 0;

	for (size_t i = 0; i < sizeof(causes) / sizeof(causes[0]); i++)
		sum += s->lost[causes[i]];
	return sum;
}

static void add(uint64_t *sum, uint64_t part)
{
	*sum = *sum == UNKNOWN || part == UNKNOWN ? UNKNOWN : *sum + part;
}

static void look_at_heap(struct rule_case *c)
{
	const struct heap_state *h = c->s->heap;

	if (!h->taken_ns || !c->serving) {
		c->live = c->retained = c->pinned = UNKNOWN;
		return;
	}
	for (size_t i = 0; i < h->allocator_cnt; i++) {
		if (!h->allocators[i].serving)
			continue;
		add(&c->live, h->allocators[i].live_heap);
		add(&c->retained, h->allocators[i].retained);
		add(&c->pinned, h->allocators[i].pinned);
	}
}

static struct rule_case case_of(const struct snapshot *s, const struct verdict *so_far)
{
	struct rule_case c = {
		.s = s,
		.trend = s->trend,
		.so_far = so_far,
		.span_ns = s->time_ns - s->started_ns,
		.serving = verdict_serving(s),
		.call = verdict_purge_call(s),
		.lost = sum_lost(s),
		.ended_well = s->gone && !s->killed,
	};
	uint64_t highest = trend_highest(s->trend, TREND_RSS), rss = s->rss == UNKNOWN ? 0 : s->rss;

	c.much = window_threshold(&(struct window_options){.retained_min = 0}, highest > rss ? highest : rss);
	look_at_heap(&c);
	return c;
}

static int worst_first(const void *x, const void *y)
{
	const struct verdict_line *a = x, *b = y;

	if (a->severity != b->severity)
		return a->severity < b->severity ? -1 : 1;
	if (a->bytes != b->bytes)
		return a->bytes > b->bytes ? -1 : 1;
	return (int)a->rule - (int)b->rule;
}

void verdict_make(const struct snapshot *s, struct verdict *verdict)
{
	struct rule_case c = case_of(s, verdict);

	verdict->cnt = 0;
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		struct verdict_line *line = &verdict->lines[verdict->cnt];

		*line = (struct verdict_line){.rule = rules[i].number, .name = rules[i].name};
		rules[i].judge(&c, line);
		verdict->cnt += line->sentence[0] != '\0';
	}
	qsort(verdict->lines, verdict->cnt, sizeof(verdict->lines[0]), worst_first);
}

void rule_say(struct verdict_line *line, enum verdict_severity severity, uint64_t bytes, const char *fmt, ...)
{
	va_list args;

	line->severity = severity;
	line->bytes = bytes;
	va_start(args, fmt);
	vsnprintf(line->sentence, sizeof(line->sentence), fmt, args);
	va_end(args);
}

void rule_advise(struct verdict_line *line, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(line->advice, sizeof(line->advice), fmt, args);
	va_end(args);
}

static struct verdict_figure *next_figure(struct verdict_line *line, const char *name, enum verdict_unit unit)
{
	struct verdict_figure *f =
		&line->evidence[line->evidence_cnt < VERDICT_EVIDENCE_MAX ? line->evidence_cnt++
									  : VERDICT_EVIDENCE_MAX - 1];

	*f = (struct verdict_figure){.name = name, .unit = unit};
	return f;
}

void rule_bytes(struct verdict_line *line, const char *name, uint64_t bytes)
{
	next_figure(line, name, VERDICT_BYTES)->integer = bytes;
}

void rule_count(struct verdict_line *line, const char *name, uint64_t cnt)
{
	next_figure(line, name, VERDICT_COUNT)->integer = cnt;
}

void rule_real(struct verdict_line *line, const char *name, double value)
{
	next_figure(line, name, VERDICT_REAL)->real = value;
}

const char *rule_whom(const struct rule_case *c, struct verdict_line *line, const struct stack *stack,
		      char buf[OWN_LINE_MAX])
{
	line->stack = stack;
	stack_want(c->s->names, stack);
	names_wait(c->s->names);
	return own_line_text(buf, stack);
}

const struct verdict_line *rule_said(const struct rule_case *c, enum verdict_rule rule)
{
	for (size_t i = 0; i < c->so_far->cnt; i++)
		if (c->so_far->lines[i].rule == rule)
			return &c->so_far->lines[i];
	return NULL;
}

const struct stack *rule_site_stack(const struct rule_case *c, uint32_t site)
{
	const struct allocation_view *a = c->s->allocs;
	const struct site_view *view = a && site < a->number_cnt ? a->by_number[site] : NULL;

	return view ? view->stack : NULL;
}
