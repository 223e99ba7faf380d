/* Findings of snapshots as lines of the log pane, each told once. */
#ifndef ALLOCTRACE_SCREEN_NEWS_H
#define ALLOCTRACE_SCREEN_NEWS_H

#include "picture/snapshot.h"
#include "screen/journal.h"

/*
 * Purges, marks, windows that opened and closed, churn, and how a process ended. told_ns: the snapshot before
 * this one; of one that is final, which lists all since the attach, what is older was told.
 */
void news_tell(struct journal *j, const struct snapshot *s, uint64_t told_ns);

#endif
