/*
 * Marks of one kind beside each other: how RSS, live and retained went from one to the next, and in words
 * where that is clear ("RSS grows 40.0 MiB a unit", "RSS plateau at 13.0 GiB after 4 units"). Purges are
 * marks too, one kind a function. Of many processes, a kind of each is a kind of its own.
 */
#ifndef ALLOCTRACE_REPORT_MARK_KINDS_H
#define ALLOCTRACE_REPORT_MARK_KINDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "report/mark_series.h"
#include "picture/snapshot.h"

#define MARK_WORDS_MAX 256

/* What is compared. */
enum mark_figure {
	MARK_RSS,
	MARK_LIVE,      /* by allocation events */
	MARK_LIVE_HEAP, /* by readings of the heap, as is the next */
	MARK_RETAINED,
	MARK_FIGURE_CNT
};
extern const char *const mark_figure_names[MARK_FIGURE_CNT]; /* as in JSON */

struct mark_kind {
	const char *kind;
	bool is_purge;
	pid_t pid;        /* of many: whose; else 0 */
	uint64_t cnt;     /* marked, also those that are not kept */
	uint64_t skipped; /* calls that were only counted: they came too often */
	struct mark_series series[MARK_FIGURE_CNT];
	char words[MARK_WORDS_MAX]; /* what that comes to; "" */
};

/*
 * Of the marks and purges of a snapshot (the final one has all), marks first, each in the order of their
 * first. 0 or −ENOMEM; *kinds is to be freed, and borrows from the snapshot.
 */
int mark_kinds_make(const struct snapshot *s, struct mark_kind **kinds, size_t *cnt);
/* The series that shows what is live: by readings, or where there are none by events. */
const struct mark_series *mark_kind_live(const struct mark_kind *kind);

#endif
