/* The points of a history (history.h): at most HISTORY_POINTS, spread over the time as evenly as they came. */
#ifndef ALLOCTRACE_PICTURE_HISTORY_POINTS_H
#define ALLOCTRACE_PICTURE_HISTORY_POINTS_H

#include "base/map.h"
#include "picture/history.h"

struct history_points { /* all zero: empty and valid */
	struct history_point *v; /* oldest first */
	size_t cnt;
	uint64_t walked_ns;      /* the heap of the last snapshot */
	struct map reopens;      /* of a library by a stack → the most that were seen */
};

void history_points_free(struct history_points *points);
/* Its readings and itself. 0 or −ENOMEM. */
int history_points_add(struct history_points *points, const struct snapshot *s);

/*
 * How long the pieces are that a time is divided into, cnt at most. Powers of two, for pieces made
 * before lie in those made later: else steps would grow longer at every turn.
 */
static inline uint64_t history_piece(uint64_t span_ns, size_t cnt)
{
	uint64_t piece = 1;

	while (span_ns / piece >= cnt)
		piece *= 2;
	return piece;
}

#endif
