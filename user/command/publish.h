/*
 * What a watch gives out: summaries on stdout, of one process or of many as one, and files of
 * stacks at the end. All of one report is made from the same snapshots.
 */
#ifndef ALLOCTRACE_COMMAND_PUBLISH_H
#define ALLOCTRACE_COMMAND_PUBLISH_H

#include <stdbool.h>

#include "base/log.h"
#include "command/group.h"
#include "command/naming.h"
#include "command/options.h"
#include "command/watch.h"

struct publish;

/* A file that cannot be written is said now, before anything is done to a target: NULL then, or without memory. */
struct publish *publish_new(const struct options *options, const struct watch_target *target,
			    const struct naming *naming, const struct log *log);
void publish_free(struct publish *publish); /* NULL-safe; files that were not finished are not there */
/* The processes are known now, and so is their cgroup. */
void publish_begin(struct publish *publish, const struct group *group);
void publish_tick(struct publish *publish); /* every second */

/* A summary: 0, or −errno of stdout. ended: why it is the final one. */
int publish_report(struct publish *publish, struct group *group, bool final, const char *ended);
/*
 * Processes that have ended, while others go on: JSON has the last object of each, text one that
 * did not end well. They are buried. 0, or −errno of stdout.
 */
int publish_ends(struct publish *publish, struct group *group);
/* The files, which are written also when nobody reads the reports any more. 0, or −errno after one line. */
int publish_files(struct publish *publish, struct group *group, const char *ended);

#endif
