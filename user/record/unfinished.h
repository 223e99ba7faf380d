/*
 * What the final picture of a recording would have said that ends without one: everything since the
 * attach, gathered from the pictures of intervals. One a process.
 */
#ifndef ALLOCTRACE_RECORD_UNFINISHED_H
#define ALLOCTRACE_RECORD_UNFINISHED_H

#include "picture/snapshot.h"

struct unfinished { /* all zero: nothing yet */
	struct purge_finding *purges;
	struct window_finding *windows;
	struct churn_finding *churn;
	struct mark_finding *marks;
	struct collector_gap *gaps;
	size_t purge_cnt, window_cnt, churn_cnt, mark_cnt, gap_cnt;
	const void **pointers; /* of the last end */
	bool failed;           /* without memory: some are missing */
};

void unfinished_free(struct unfinished *u); /* idempotent */
/* Copies what its findings say; what those point to outlives u. */
void unfinished_add(struct unfinished *u, const struct snapshot *s);
/* Makes a snapshot of an interval the final one, of all that was added. It points into u. */
void unfinished_end(struct unfinished *u, struct snapshot *s, const char *ended);

#endif
