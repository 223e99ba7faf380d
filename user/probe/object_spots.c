#include "probe/object_spots.h"

#include <stdlib.h>

#define RANK_HITS 1000 /* fewer say nothing */
#define HOT_SHARE 0.998
#define HOT_MAX 32

struct spot_rank {
	struct link_spot spot;
	uint64_t hits;
};

static int compare_ranks(const void *a, const void *b)
{
	uint64_t x = ((const struct spot_rank *)a)->hits, y = ((const struct spot_rank *)b)->hits;

	return x < y ? 1 : x > y ? -1 : 0;
}

static uint64_t look_up(struct spot_rank *ranks, const struct link_spot *spots, size_t cnt,
			const uint64_t hits[POOL_PLACES_MAX])
{
	uint64_t all = 0;

	for (size_t i = 0; i < cnt; i++) {
		size_t number = spots[i].cookie >> COOKIE_POOL_PLACE_SHIFT & (POOL_PLACES_MAX - 1);

		ranks[i] = (struct spot_rank){.spot = spots[i], .hits = hits[number]};
		all += hits[number];
	}
	return all;
}

size_t object_spots_rank(struct link_spot *spots, size_t cnt, const uint64_t hits[POOL_PLACES_MAX])
{
	struct spot_rank *ranks = calloc(cnt + 1, sizeof(*ranks));
	uint64_t all = ranks ? look_up(ranks, spots, cnt, hits) : 0, sum = 0;
	size_t hot = 0;

	if (all >= RANK_HITS) {
		qsort(ranks, cnt, sizeof(*ranks), compare_ranks);
		for (size_t i = 0; i < cnt; i++)
			spots[i] = ranks[i].spot;
		while (hot < cnt && hot < HOT_MAX && (double)sum < HOT_SHARE * (double)all)
			sum += ranks[hot++].hits;
	}
	free(ranks);
	return hot;
}
