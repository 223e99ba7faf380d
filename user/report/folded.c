/* Stacks in Brendan Gregg's folded form, which flamegraph.pl, speedscope and others read. */
#include "report/folded.h"
#include "report/report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/printable.h"
#include "picture/ranking.h"
#include "picture/weight.h"

static bool has_frames(const struct stack *stack)
{
	return stack && stack->cnt;
}

/* By what is written of them: ids differ already where two calls lie in one function. */
static int compare_stacks(const struct stack *a, const struct stack *b)
{
	struct stack_walk left = {.stack = a}, right = {.stack = b};
	const struct frame_name *x, *y;
	int order = 0;

	if (!has_frames(a) || !has_frames(b))
		return has_frames(a) - has_frames(b);
	if (!a->cut != !b->cut)
		return a->cut ? 1 : -1;
	do {
		x = stack_next(&left);
		y = stack_next(&right);
		if (x && y && x != y)
			order = frame_compare(x, y);
	} while (x && y && !order);
	return order ? order : (x != NULL) - (y != NULL);
}

static int by_stack(const void *x, const void *y)
{
	const struct ranked_site *a = x, *b = y;

	return compare_stacks(a->view->stack, b->view->stack);
}

static int by_weight(const void *x, const void *y)
{
	const struct ranked_site *a = x, *b = y;

	if (a->weight != b->weight)
		return a->weight < b->weight ? 1 : -1;
	return compare_stacks(a->view->stack, b->view->stack);
}

static void merge(struct ranking *r)
{
	size_t cnt = 0;

	qsort(r->sites, r->cnt, sizeof(*r->sites), by_stack);
	for (size_t i = 0; i < r->cnt; i++) {
		if (cnt && !by_stack(&r->sites[cnt - 1], &r->sites[i]))
			r->sites[cnt - 1].weight += r->sites[i].weight;
		else
			r->sites[cnt++] = r->sites[i];
	}
	r->cnt = cnt;
	qsort(r->sites, r->cnt, sizeof(*r->sites), by_weight);
}

/* ';' is the form's own; line ends and other controls become '?'. */
static void put_frame(FILE *out, const struct frame_name *frame)
{
	char name[FRAME_TEXT_MAX];

	printable(name, sizeof(name), frame_text(name, sizeof(name), frame, &frame_whole));
	for (char *c = strchr(name, ';'); c; c = strchr(c, ';'))
		*c = ':';
	fputs(name, out);
}

void folded_put_stack(FILE *out, const struct stack *stack)
{
	struct stack_walk walk = {.stack = stack};
	const struct frame_name *frame;
	bool first = true;

	if (!has_frames(stack))
		fputs("[no stack]", out);
	else if (stack->cut)
		fputs("[truncated];", out);
	while (has_frames(stack) && (frame = stack_next(&walk))) {
		if (!first)
			putc(';', out);
		first = false;
		put_frame(out, frame);
	}
}

static void put_line(FILE *out, const struct ranked_site *site)
{
	folded_put_stack(out, site->view->stack);
	fprintf(out, " %" PRIu64 "\n", site->weight);
}

/* Those that weigh anything. */
static int collect(struct ranking *r, const struct weights *weights, enum site_weight weight)
{
	const struct allocation_view *a = weights->s->allocs;

	*r = (struct ranking){.sites = calloc(a->site_cnt + 1, sizeof(*r->sites))};
	if (!r->sites)
		return -ENOMEM;
	for (size_t i = 0; i < a->site_cnt; i++) {
		uint64_t weighs = weight_of(weights, &a->sites[i], weight);

		if (weighs)
			r->sites[r->cnt++] = (struct ranked_site){&a->sites[i], weighs};
	}
	return 0;
}

int report_folded(FILE *out, const struct snapshot *s, enum site_weight weight)
{
	struct weight_rest rests[WEIGHT_RESTS_MAX];
	struct weights weights;
	struct ranking sites;
	size_t rest_cnt;

	weights_init(&weights, s);
	if (!weight_is_known(&weights, weight))
		return 0;
	if (collect(&sites, &weights, weight))
		return -ENOMEM;
	for (size_t i = 0; i < sites.cnt; i++)
		stack_want(s->names, sites.sites[i].view->stack);
	names_wait(s->names);
	merge(&sites);
	for (size_t i = 0; i < sites.cnt; i++)
		put_line(out, &sites.sites[i]);
	ranking_free(&sites);
	rest_cnt = weight_rests(&weights, weight, rests);
	for (size_t i = 0; i < rest_cnt; i++)
		fprintf(out, "%s %" PRIu64 "\n", rests[i].name, rests[i].weight);
	return fflush(out) ? -errno : ferror(out) ? -EIO : 0;
}
