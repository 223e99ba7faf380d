/* Sites by what they weigh: every table and the folded form show the heaviest first. */
#ifndef ALLOCTRACE_PICTURE_RANKING_H
#define ALLOCTRACE_PICTURE_RANKING_H

#include "picture/snapshot.h"
#include "picture/weight.h"

struct ranked_site {
	const struct site_view *view;
	uint64_t weight;
};

struct ranking {
	struct ranked_site *sites; /* heaviest first; those that weigh nothing are left out */
	size_t cnt;
	uint64_t total;
};

/* By weight: bytes, or a count; NULL where a site alone does not tell (picture/weight.h). */
extern uint64_t (*const ranking_weigh[WEIGHT_CNT])(const struct site_view *view);

/* 0, or −ENOMEM; ranking_free afterwards either way. */
int ranking_make(struct ranking *ranking, const struct allocation_view *allocs,
		 uint64_t (*weigh)(const struct site_view *view));
void ranking_free(struct ranking *ranking);

/* Puts views in the order of an allocation_view, by live bytes, and fills in by_number. */
void ranking_arrange(struct site_view *views, size_t cnt, const struct site_view **by_number);

#endif
