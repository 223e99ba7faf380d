/*
 * The cgroup of what is watched: the one that was named, or that of the first process. Read every
 * second for the trend and at each report.
 */
#ifndef ALLOCTRACE_COMMAND_CGROUP_WATCH_H
#define ALLOCTRACE_COMMAND_CGROUP_WATCH_H

#include <sys/types.h>

#include "picture/snapshot.h"
#include "target/cgroup.h"

struct cgroup_watch;

/* named: NULL, or the cgroup; else that of pid. NULL: nothing accounts its memory, as far as we see, or no memory. */
struct cgroup_watch *cgroup_watch_new(const struct cgroup *named, pid_t pid);
void cgroup_watch_free(struct cgroup_watch *watch); /* NULL-safe */
void cgroup_watch_tick(struct cgroup_watch *watch);  /* NULL-safe; every second */
/* What reports show; NULL as watch may be. Valid until the next call. The last figures stay if the cgroup has gone. */
const struct cgroup_view *cgroup_watch_look(struct cgroup_watch *watch);

#endif
