/* Stacks with the weight of both sides, as difffolded.pl of FlameGraph makes them from two folded files. */
#include <errno.h>
#include <inttypes.h>

#include "report/diff.h"
#include "report/folded.h"

static uint64_t rest_of(const struct diff_side *side, enum site_weight weight)
{
	return side->snapshot->allocs ? folded_rest(side->snapshot->allocs, weight) : 0;
}

int diff_folded(FILE *out, const struct diff *d)
{
	enum site_weight weight = d->options.weight;
	uint64_t a, b;

	for (size_t i = 0; i < d->cnt; i++) {
		a = diff_figure(d, &d->rows[i], 0, weight);
		b = diff_figure(d, &d->rows[i], 1, weight);
		if (!a && !b)
			continue;
		folded_put_stack(out, d->rows[i].stack);
		fprintf(out, " %" PRIu64 " %" PRIu64 "\n", a, b);
	}
	/* What was there before the attach has not come since: it is not scaled. */
	a = rest_of(&d->side[0], weight);
	b = rest_of(&d->side[1], weight);
	if (a || b)
		fprintf(out, FOLDED_REST " %" PRIu64 " %" PRIu64 "\n", a, b);
	return fflush(out) ? -errno : ferror(out) ? -EIO : 0;
}
