/*
 * What the children of one process inherit: a perf event for the allocation functions' entries of
 * each file that the process maps, and one for their returns (link.h, LINK_INHERITED). They bridge a
 * child's time from its fork, or exec, to its own probes. A child hands them on to its own children:
 * an event lives until the last of the family lets go of it.
 *
 * Each costs 27 µs a fork and a new thread (measured): files without allocation functions have none.
 */
#ifndef ALLOCTRACE_PROBE_EARLY_H
#define ALLOCTRACE_PROBE_EARLY_H

#include <stddef.h>
#include <sys/types.h>

#include "probe/keeper.h"
#include "probe/missing.h"
#include "probe/plan.h"
#include "probe/programs.h"
#include "target/maps.h"

#define EARLY_OPENERS_MAX 4

struct early;

struct early_context { /* outlives all of them */
	struct keeper *keeper;
	struct programs *programs;
	unsigned opener_cnt; /* processes with events of their own: a hit passes those of all of them */
};

/*
 * from: of the parent that it was forked from, whose events it has inherited; NULL: it has none yet. NULL: no
 * memory.
 */
struct early *early_new(struct early_context *ctx, const struct early *from);
void early_free(struct early *early); /* NULL-safe; not waited for */

/*
 * The process maps a file of that plan there: opens the file's events, unless they are there already,
 * and tells the kernel side the addresses. path opens the file. What the kernel refuses is a missing line;
 * beyond EARLY_OPENERS_MAX processes nothing is opened.
 */
void early_take(struct early *early, pid_t pid, const struct plan *plan, const char *path, const struct mapping *m,
		struct missing *missing);
/* How many files have events. */
size_t early_cnt(const struct early *early);

#endif
