/*
 * Makes the kernel ready to remove probes at once. The lock that it places and removes them under (dup_mmap_sem,
 * kernel/events/uprobes.c) waits for a grace period of RCU, 4–15 ms, if nobody has taken it since the last one
 * (kernel/rcu/sync.c). A process hits probes meanwhile that have no program any more, which nobody counts.
 */
#ifndef ALLOCTRACE_PROBE_WARM_H
#define ALLOCTRACE_PROBE_WARM_H

#include "probe/keeper.h"
#include "probe/programs.h"

/* From warm_up on it is ready for so long at least. Placing a process's probes does the same. */
#define WARM_NS 4000000ULL
/* What warm_up takes at most, usually. */
#define WARM_WAIT_NS 15000000ULL

/* Probes two instructions of our own, which nobody runs. 0: could not be placed; to be dropped by the caller. */
kept_link warm_up(struct keeper *keeper, const struct programs *programs, enum link_backend backend);

#endif
