/*
 * What is kept open of one process so that its code can be named when it has ended: its root,
 * where debug files lie, and the file that its JIT writes names to. Shared by those that count on
 * it (any thread); what it opens is opened by one thread.
 */
#ifndef ALLOCTRACE_STACK_HOME_H
#define ALLOCTRACE_STACK_HOME_H

#include <stdbool.h>
#include <sys/types.h>

#include "target/maps.h"
#include "target/object.h"

struct perf_map;

struct home; /* opaque */

/*
 * Opens nothing yet. parent: the process that it was forked from, which stands in for it when it has
 * ended already; 0: none, or it has exec'd since. NULL: no memory.
 */
struct home *home_new(pid_t pid, pid_t parent);
struct home *home_hold(struct home *home); /* returns home */
void home_release(struct home *home);      /* NULL-safe; the last one closes all */
/* Whether nobody but the caller holds it. */
bool home_is_mine(const struct home *home);

/* The file behind one of its mappings; as object_open_mapped. */
int home_open_object(const struct home *home, const struct mapping *m, struct object **object);
/* Opens its root, while the process lives; tried once. */
void home_open_root(struct home *home);
/* Opens the file of its JIT unless it is open; whether it is now. */
bool home_open_perf_map(struct home *home);

pid_t home_pid(const struct home *home);
/* Its root (target/root.h), or negative: not opened. */
int home_root(const struct home *home);
/* NULL: nobody has opened it, or no memory. */
struct perf_map *home_perf_map(const struct home *home);

#endif
