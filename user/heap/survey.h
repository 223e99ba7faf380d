/*
 * One pass over the live blocks beside the newest walk: whose blocks pin which free bytes,
 * how old they are, which of them a walk has proved dead. Done in slices, so that the
 * consumer of events never waits for it: survey_step until it says that it is over.
 *
 * Pins: each page's free bytes are divided equally among its holders and charged to the sites
 * of those that are known; what falls to others (from before the attach, untracked, cached)
 * is left, by size class. The sum is Σ free of the pages that have holders.
 *
 * Ghosts: only blocks recorded before the walk began are judged, and only one that two walks
 * in a row did not find is removed; a walk proves death, never survival.
 */
#ifndef ALLOCTRACE_HEAP_SURVEY_H
#define ALLOCTRACE_HEAP_SURVEY_H

#include <stdbool.h>
#include <stdint.h>

#include "heap/ledger.h"
#include "heap/sites.h"
#include "heap/walk.h"

struct survey_options {
	uint64_t older_ns; /* blocks older than that count as old; 0: all do */
	bool judge_ghosts; /* something was lost since the last survey that judged */
};

struct survey_result {
	struct site_survey *sites; /* by number */
	uint32_t site_cnt;
	uint64_t walked_ns;      /* when the walk began */
	uint64_t pinned;         /* bytes, Σ over all sites and the rest */
	struct site_survey rest; /* blocks that are not in the table; old is 0 */
	struct heap_blocks
		rest_class[HEAP_CLASS_CNT]; /* the rest's pinned bytes and holders, by size of chunk */
	uint64_t ghosts;                    /* removed in this survey */
	uint64_t cost_ns;                   /* of CPU */
};

struct survey;

struct survey *survey_new(void);
void survey_free(struct survey *survey); /* NULL-safe */
/*
 * Begins a pass (an unfinished one is given up). Takes the pages out of *walk, which has none
 * afterwards. walk may be NULL or without pages: then there are no pins, and no ghosts.
 */
void survey_begin(struct survey *survey, struct ledger *ledger, struct heap_walk *walk, uint64_t now_ns,
		  const struct survey_options *options);
/* Goes on for about budget_ns of time; true: there is more to do. */
bool survey_step(struct survey *survey, uint64_t budget_ns);
bool survey_is_busy(const struct survey *survey);
/* The last pass that was finished, or NULL. Valid until the next one is. */
const struct survey_result *survey_result(const struct survey *survey);

#endif
