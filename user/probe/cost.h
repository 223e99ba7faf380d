/*
 * What a hit of an allocation probe costs a process on this machine, found out on a child of
 * ours with the programs that will be attached. x86-64: the functions that are probed.
 */
#ifndef ALLOCTRACE_PROBE_COST_H
#define ALLOCTRACE_PROBE_COST_H

#include "probe/feature.h"
#include "probe/keeper.h"
#include "probe/programs.h"

/*
 * Some 15 ms, or twice that; the keeper removes the links meanwhile. What the child does is in the ring
 * afterwards, under its PID. budgeted: programs have gates. tables: so that its stacks are taken as the
 * target's are; may be NULL. 0, or −errno and *cost is what other machines were seen to take.
 */
int cost_calibrate(struct programs *programs, const struct feature *feature, struct unwind_tables *tables,
		   struct keeper *keeper, bool budgeted, struct probe_cost *cost);

#endif
