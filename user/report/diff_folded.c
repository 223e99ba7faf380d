/* Stacks with the weight of both sides, as difffolded.pl of FlameGraph makes them from two folded files. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "report/diff.h"
#include "report/folded.h"

/* What no site accounts for, of both sides under one name; it is of a moment, and not scaled. */
static void put_rests(FILE *out, const struct diff *d)
{
	struct weight_rest of[2][WEIGHT_RESTS_MAX];
	size_t cnt[2];

	for (unsigned side = 0; side < 2; side++)
		cnt[side] = weight_rests(&d->weights[side], d->options.weight, of[side]);
	for (size_t i = 0; i < cnt[0]; i++) {
		uint64_t b = 0;

		for (size_t k = 0; k < cnt[1]; k++) {
			if (strcmp(of[0][i].name, of[1][k].name))
				continue;
			b = of[1][k].weight;
			of[1][k].weight = 0;
		}
		fprintf(out, "%s %" PRIu64 " %" PRIu64 "\n", of[0][i].name, of[0][i].weight, b);
	}
	for (size_t k = 0; k < cnt[1]; k++)
		if (of[1][k].weight)
			fprintf(out, "%s 0 %" PRIu64 "\n", of[1][k].name, of[1][k].weight);
}

int diff_folded(FILE *out, const struct diff *d)
{
	enum site_weight weight = d->options.weight;

	for (size_t i = 0; i < d->cnt; i++) {
		uint64_t a = diff_figure(d, &d->rows[i], 0, weight),
			 b = diff_figure(d, &d->rows[i], 1, weight);

		if (!a && !b)
			continue;
		folded_put_stack(out, d->rows[i].stack);
		fprintf(out, " %" PRIu64 " %" PRIu64 "\n", a, b);
	}
	put_rests(out, d);
	return fflush(out) ? -errno : ferror(out) ? -EIO : 0;
}
