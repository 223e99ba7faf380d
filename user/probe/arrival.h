/*
 * Whether probes have arrived in what a process runs. The kernel places them by a file's inode, and that may
 * be another than the mapped one although the file was opened by the mapping: where overlayfs has copied it up since.
 */
#ifndef ALLOCTRACE_PROBE_ARRIVAL_H
#define ALLOCTRACE_PROBE_ARRIVAL_H

#include <stdbool.h>
#include <sys/types.h>

#include "probe/plan.h"
#include "target/maps.h"
#include "target/object.h"

/*
 * Whether the process's text differs from its file at any of the planned spots that lie in mapping m. True too if
 * none does lie there, and if it cannot be read: then nothing speaks against it.
 */
bool arrival_in(pid_t pid, const struct object *obj, const struct plan *plan, const struct mapping *m);

#endif
