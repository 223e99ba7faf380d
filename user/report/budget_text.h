/*
 * What the allocation probes may cost, do cost, and see for that (picture/snapshot.h, struct budget_view), in
 * the same words in every form.
 */
#ifndef ALLOCTRACE_REPORT_BUDGET_TEXT_H
#define ALLOCTRACE_REPORT_BUDGET_TEXT_H

#include "base/units.h"
#include "picture/snapshot.h"

#define BUDGET_TEXT_MAX 192

/*
 * What is seen, where not all is: "allocation probes on 12 % of the time, budget 10 %; sites ±4 %". "" where
 * figures of events and sites are exact. Returns buf, as the next one.
 */
const char *budget_seen_text(char buf[BUDGET_TEXT_MAX], const struct allocation_view *allocs);
/*
 * What that costs: "probes take 3 % of its CPU, budget 10 %, alloctrace 1 %"; "": not known yet. "budget 10 % or
 * 0.5 % of a core" where the process uses so little that this is more.
 */
const char *budget_cost_text(char buf[BUDGET_TEXT_MAX], const struct allocation_view *allocs);

/* How far a figure may be off: "±4 %"; "±?" where its bounds are not known. Returns buf. */
const char *budget_error_text(char buf[UNITS_TEXT_MAX], uint64_t figure, uint64_t low, uint64_t high);

#endif
