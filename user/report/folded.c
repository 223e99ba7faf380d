/* Stacks in Brendan Gregg's folded form, which flamegraph.pl, speedscope and others read. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "report/snapshot.h"

const char *const site_weight_names[WEIGHT_CNT] = {
	[WEIGHT_LIVE] = "live",
	[WEIGHT_ALLOCATED] = "allocated",
	[WEIGHT_FREED] = "freed",
	[WEIGHT_COUNT] = "count",
	[WEIGHT_PINNED] = "pinned",
	[WEIGHT_PEAK] = "peak",
	[WEIGHT_TEMPORARY] = "temporary",
};

static uint64_t weigh(const struct site_view *v, enum site_weight weight)
{
	switch (weight) {
	case WEIGHT_LIVE:
		return v->figures->live.bytes;
	case WEIGHT_ALLOCATED:
		return v->figures->allocated.bytes;
	case WEIGHT_FREED:
		return v->figures->freed_here.bytes;
	case WEIGHT_COUNT:
		return v->figures->allocated.cnt;
	case WEIGHT_PINNED:
		return v->survey ? v->survey->pinned : 0;
	case WEIGHT_PEAK:
		return v->peak.bytes;
	case WEIGHT_TEMPORARY:
		return v->figures->temporary.bytes;
	default:
		return 0;
	}
}

/* ';' and line ends are the form's own. */
static void put_frame(FILE *out, const char *frame)
{
	for (; *frame; frame++)
		putc(*frame == ';' ? ':' : (unsigned char)*frame < ' ' ? ' ' : *frame, out);
}

static void put_line(FILE *out, const struct stack *stack, uint64_t weight)
{
	if (!stack)
		fputs("[no stack]", out);
	else if (stack->truncated)
		fputs("[truncated];", out);
	for (uint32_t i = 0; stack && i < stack->cnt; i++) {
		if (i)
			putc(';', out);
		put_frame(out, stack->frames[i]);
	}
	fprintf(out, " %" PRIu64 "\n", weight);
}

struct line {
	const struct site_view *site;
	uint64_t weight;
};

static int by_weight(const void *x, const void *y)
{
	const struct line *a = x, *b = y;

	return a->weight < b->weight ? 1 : a->weight > b->weight ? -1 : 0;
}

/* What no site accounts for, so that the graph is as wide as the heap. */
static void put_rest(FILE *out, const struct allocation_view *a, enum site_weight weight)
{
	uint64_t rest = 0;

	if (weight == WEIGHT_LIVE && a->unattributed != UNKNOWN)
		rest = a->unattributed;
	if (weight == WEIGHT_PINNED && a->survey)
		rest = a->survey->rest.pinned;
	if (rest)
		fprintf(out, "[from before the attach] %" PRIu64 "\n", rest);
}

int report_folded(FILE *out, const struct snapshot *s, enum site_weight weight)
{
	const struct allocation_view *a = s->allocs;
	struct line *lines;
	size_t cnt = 0;

	if (!a)
		return 0;
	lines = calloc(a->site_cnt ? a->site_cnt : 1, sizeof(*lines));
	if (!lines)
		return -ENOMEM;
	for (size_t i = 0; i < a->site_cnt; i++) {
		uint64_t bytes = weigh(&a->sites[i], weight);

		if (bytes)
			lines[cnt++] = (struct line){&a->sites[i], bytes};
	}
	qsort(lines, cnt, sizeof(*lines), by_weight);
	for (size_t i = 0; i < cnt; i++)
		put_line(out, lines[i].site->stack, lines[i].weight);
	free(lines);
	put_rest(out, a, weight);
	return ferror(out) ? -EIO : 0;
}
