/*
 * How a process's figures went by, at some 32 moments spread over the run, and which of them grow
 * clearly. Fed with the snapshot of every report, of a running watch or out of a recording, so that
 * a rule that looks back says the same of both. Bounded: the figures and the largest sites of each
 * moment; as time goes by every second moment is forgotten.
 */
#ifndef ALLOCTRACE_VERDICT_TREND_H
#define ALLOCTRACE_VERDICT_TREND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "picture/snapshot.h"

#define TREND_MARKS 32
#define TREND_SITES 256         /* of a moment, those with most live bytes … */
#define TREND_SITE_MIN (1u << 16) /* … of at least that many: less is not worth a word yet */

/* From before the attach more may have been freed than was allocated since. */
#define TREND_NET_ZERO (1ULL << 50)

enum trend_figure { /* bytes; UNKNOWN where nobody knows */
	TREND_RSS,
	TREND_LIVE,       /* by the heap's state, layers included */
	TREND_NET_LIVE,   /* by events: allocated less freed since the attach, and TREND_NET_ZERO */
	TREND_LAYER_LIVE, /* of layers alone, 0 without one */
	TREND_PINNED,     /* of those that serve */
	TREND_LAYER_RETAINED,
	TREND_FIGURE_CNT
};

struct trend_site {
	uint32_t number; /* site_view.number */
	uint64_t live;
	uint64_t low, high; /* its bounds; live where it is exact */
};

struct trend_mark {
	uint64_t time_ns;
	uint64_t figures[TREND_FIGURE_CNT];
	bool stays;               /* a spacing after the one before it; else the next one takes its place */
	bool estimated;           /* figures of events are: a site that is not there was not seen */
	uint64_t net_low, net_high; /* bounds of TREND_NET_LIVE */
	struct trend_site *sites; /* by number */
	uint32_t site_cnt;
};

struct trend {
	struct trend_mark marks[TREND_MARKS]; /* oldest first; the last is the newest snapshot */
	size_t cnt;
	uint64_t spacing_ns; /* between marks that stay */
};

/* All trends of a watch, by PID (0: of all together). */
struct trends;

struct trends *trends_new(void);           /* NULL: no memory */
void trends_free(struct trends *trends);   /* NULL-safe */
/*
 * The trend of s's process with s in it; the same s again changes nothing. NULL: no memory. Valid
 * until the next call of trends_sweep.
 */
const struct trend *trends_add(struct trends *trends, const struct snapshot *s);
/* Whether a moment of that process would stay, so that leaving it out makes a difference. */
bool trends_keep(const struct trends *trends, pid_t pid, uint64_t time_ns);
/* Forgets those that nothing was added to since the last call. */
void trends_sweep(struct trends *trends);

/*
 * Clear growth. In lows: the run is cut into four parts of equal time, and the lowest of each is looked
 * at, so that the height of a saw's teeth does not matter. The first part is the warm-up and must not
 * fall; from then on each low is higher than the one before by at least half of what they grow by on
 * average, the last not much less than the one before (a cache that fills up slows down), it still goes
 * on in the last eighth of the run, and all together are more than the figure ever fell by meanwhile:
 * what goes up and down by more is no trend.
 */
#define TREND_RISE_MARKS_MIN 10
#define TREND_RISE_SPAN_MIN_NS 10000000000ULL /* start-up and one unit of work take seconds */

struct trend_rise {
	bool clear;
	uint64_t grown;    /* bytes, from the second part's low to the last one's */
	double per_second; /* bytes */
	uint64_t sure;     /* of grown, what it is at the least where figures are estimates: from the upper bound to the lower one */
};

struct trend_rise trend_rise(const struct trend *trend, enum trend_figure figure);
/* Of a site; where a mark does not have it, it was too small to be kept: 0, and of estimates without an upper bound. */
struct trend_rise trend_rise_of_site(const struct trend *trend, uint32_t number);
/* Whether the figure did not go below bytes for so long, until now; at least two marks must say so. */
bool trend_has_lasted(const struct trend *trend, enum trend_figure figure, uint64_t bytes, uint64_t ns);
/* The highest that was seen; 0: none. */
uint64_t trend_highest(const struct trend *trend, enum trend_figure figure);

#endif
