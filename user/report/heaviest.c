#include "report/heaviest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "picture/snapshot.h"
#include "picture/weight.h"

static int largest_first(const void *x, const void *y)
{
	double a = *(const double *)x, b = *(const double *)y;

	return a < b ? 1 : a > b ? -1 : 0;
}

static void add_shares(double *shares, const struct weights *weights, enum site_weight weight)
{
	const struct allocation_view *a = weights->s->allocs;
	double total = 0;

	for (size_t i = 0; i < a->site_cnt; i++)
		total += (double)weight_of(weights, &a->sites[i], weight);
	for (size_t i = 0; i < a->site_cnt && total > 0; i++) {
		double share = (double)weight_of(weights, &a->sites[i], weight) / total;

		if (share > shares[i])
			shares[i] = share;
	}
}

/* The share that the last of the chosen has; sorts. */
static double least_chosen(double *shares, size_t cnt, size_t max)
{
	qsort(shares, cnt, sizeof(double), largest_first);
	return shares[max - 1];
}

static void choose(bool *chosen, const double *shares, size_t cnt, double least, size_t max)
{
	for (size_t i = 0; i < cnt; i++)
		if (shares[i] > least) {
			chosen[i] = true;
			max--;
		}
	for (size_t i = 0; i < cnt && max; i++)
		if (shares[i] == least) {
			chosen[i] = true;
			max--;
		}
}

int heaviest_choose(struct heaviest *h, const struct weights *weights, size_t max)
{
	size_t cnt = weights->s->allocs ? weights->s->allocs->site_cnt : 0;
	double *shares, *sorted;
	int rc = -ENOMEM;

	*h = (struct heaviest){.chosen = NULL};
	if (cnt <= max)
		return 0;
	h->chosen = calloc(cnt, sizeof(*h->chosen));
	shares = calloc(cnt, sizeof(double));
	sorted = malloc(cnt * sizeof(double));
	if (h->chosen && shares && sorted) {
		for (int weight = 0; weight < WEIGHT_CNT; weight++)
			add_shares(shares, weights, weight);
		memcpy(sorted, shares, cnt * sizeof(double));
		if (max)
			choose(h->chosen, shares, cnt, least_chosen(sorted, cnt, max), max);
		rc = 0;
	}
	free(shares);
	free(sorted);
	return rc;
}

bool heaviest_has(const struct heaviest *h, size_t place)
{
	return !h->chosen || h->chosen[place];
}

void heaviest_free(struct heaviest *h)
{
	free(h->chosen);
	h->chosen = NULL;
}
