#include "report/diff_error.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "picture/spread.h"
#include "report/figure.h"

const char *const diff_match_words[DIFF_MATCH_CNT] = {
	[DIFF_SAME] = "",     [DIFF_OTHER_LINES] = "moved",        [DIFF_NEW] = "new",
	[DIFF_GONE] = "gone", [DIFF_UNSEEN_A] = "not seen in A", [DIFF_UNSEEN_B] = "not seen in B",
};

bool diff_is_unseen(const struct diff_row *row, unsigned side)
{
	return row->match == (side ? DIFF_UNSEEN_B : DIFF_UNSEEN_A);
}

bool diff_may_be_none(const struct diff_range *range)
{
	return range->low <= 0 && range->high >= 0;
}

/* A figure of struct bounded; BOUNDED_FIGURES: it has no bounds. */
static unsigned bounded_of(enum site_weight weight)
{
	switch (weight) {
	case WEIGHT_LIVE:
		return 1;
	case WEIGHT_COUNT:
		return 2;
	case WEIGHT_ALLOCATED:
		return 3;
	case WEIGHT_FREED:
		return 7;
	default:
		return BOUNDED_FIGURES;
	}
}

struct diff_figure diff_figure_scaled(const struct diff *d, const struct diff_figure *f)
{
	return (struct diff_figure){diff_scaled(d, f->figure), diff_scaled(d, f->low), diff_scaled(d, f->high)};
}

static double distance(uint64_t less, uint64_t more)
{
	return more == UNKNOWN ? INFINITY : more > less ? (double)(more - less) : 0;
}

static int64_t moved(int64_t change, double by)
{
	double to = (double)change + by;

	return to <= -0x1p63 ? INT64_MIN : to >= 0x1p63 ? INT64_MAX : change + (int64_t)by;
}

struct diff_range diff_figures_range(const struct diff_figure *a, const struct diff_figure *b)
{
	int64_t change = diff_change(a->figure, b->figure);

	return (struct diff_range){
		moved(change, -ceil(hypot(distance(a->figure, a->high), distance(b->low, b->figure)))),
		moved(change, ceil(hypot(distance(a->low, a->figure), distance(b->figure, b->high)))),
	};
}

/* The sites of a row on one side together. *any: one is an estimate. */
static struct diff_figure side_of(const struct diff *d, const struct diff_row *row, unsigned side,
				  unsigned number, bool *any)
{
	struct diff_figure f = {.figure = 0};
	double below = 0, above = 0;

	for (uint32_t at = row->first[side]; at != DIFF_NONE; at = d->next[side][at]) {
		const struct site_view *view = &d->side[side].snapshot->allocs->sites[at];
		struct bounded figures;
		uint64_t figure;
		struct site_bounds bounds;

		if (view->of_objects)
			continue; /* they have another weight, without bounds here */
		figures = (struct bounded){view->figures->live, view->figures->allocated, view->figures->freed,
					  view->figures->freed_here};
		figure = ((const uint64_t *)&figures)[number];
		f.figure += figure;
		if (!view->bounds)
			continue;
		*any = true;
		bounds = *view->bounds;
		below = hypot(below, distance(*bounds_low(&bounds, number), figure));
		above = hypot(above, distance(figure, *bounds_high(&bounds, number)));
	}
	f.low = below < (double)f.figure ? f.figure - (uint64_t)ceil(below) : 0;
	f.high = above < 0x1p62 ? f.figure + (uint64_t)ceil(above) : UNKNOWN;
	return side ? f : diff_figure_scaled(d, &f);
}

bool diff_range(const struct diff *d, const struct diff_row *row, enum site_weight weight,
		struct diff_range *range)
{
	unsigned number = bounded_of(weight);
	struct diff_figure a, b;
	bool any = false;

	if (number == BOUNDED_FIGURES)
		return false;
	a = side_of(d, row, 0, number, &any);
	b = side_of(d, row, 1, number, &any);
	*range = diff_figures_range(&a, &b);
	/* Whatever it was there, it was not less than nothing. */
	if (diff_is_unseen(row, 0))
		*range = (struct diff_range){INT64_MIN, diff_change(0, b.high)};
	if (diff_is_unseen(row, 1))
		*range = (struct diff_range){diff_change(a.high, 0), INT64_MAX};
	return any || diff_is_unseen(row, 0) || diff_is_unseen(row, 1);
}

bool diff_within_error(const struct diff *d, const struct diff_row *row, enum site_weight weight)
{
	struct diff_range range;

	return !diff_is_unseen(row, 0) && !diff_is_unseen(row, 1) && diff_range(d, row, weight, &range) &&
	       diff_may_be_none(&range);
}

static const char *with_unit(char buf[UNITS_TEXT_MAX], int64_t change, bool is_count)
{
	return is_count ? figure_count_change(buf, change) : figure_change(buf, change);
}

const char *diff_change_text(char buf[DIFF_CHANGE_MAX], int64_t change, const struct diff_range *range, bool is_count)
{
	char text[UNITS_TEXT_MAX], error[UNITS_TEXT_MAX];
	uint64_t half;

	if (range && range->low == INT64_MIN) {
		snprintf(buf, DIFF_CHANGE_MAX, "≤ %s", with_unit(text, change, is_count));
		return buf;
	}
	if (range && range->high == INT64_MAX) {
		snprintf(buf, DIFF_CHANGE_MAX, "≥ %s", with_unit(text, change, is_count));
		return buf;
	}
	half = range ? ((uint64_t)range->high - (uint64_t)range->low + 1) / 2 : 0;
	with_unit(text, change, is_count);
	if (!half)
		snprintf(buf, DIFF_CHANGE_MAX, "%s", text);
	else
		snprintf(buf, DIFF_CHANGE_MAX, "%s ±%s", text,
			 is_count ? figure_count(error, half) : units_bytes(error, half));
	return buf;
}
