/*
 * What a report's page (page/) is made of, as one stream (packer.h), which page/data.js reads. A text of
 * JSON, the report's own object with what only the page shows beside it, then numbers:
 *
 *   texts     cnt, each
 *   frames    cnt, each: function, module, file (texts by number + 1; 0: none), line
 *   nodes     cnt of the tree of all stacks, the root left out, parents first; each: how many levels its parent
 *             lies above the node before it, and its frame
 *   weights   cnt of nodes that weigh anything themselves, their numbers (each less the one before), then
 *             what they weigh, weight by weight as the JSON names them (picture/weight.h: those that are known)
 *   errors    of weights that are estimates, as the JSON names them: of these nodes, half of the 95 % interval of what
 *             they weigh, + 1; 0: not known
 *   points    cnt, then figure by figure: milliseconds since the point before (the first: since the attach), then
 *             as in struct history_point, + 1; 0: unknown
 *   steps     cnt, each: its end, in milliseconds since the one before; cnt of nodes that changed, their numbers as
 *             above, then figure by figure: allocated, allocated less live (signed), freed_here, allocs
 *
 * Of a long history the page has at most PAGE_STEPS steps, and where it has more than PAGE_CHANGES changes,
 * what is less than a PAGE_SHARE-th of its step in every figure counts for the caller.
 */
#ifndef ALLOCTRACE_REPORT_PAGE_DATA_H
#define ALLOCTRACE_REPORT_PAGE_DATA_H

#include "report/packer.h"
#include "picture/snapshot.h"

#define PAGE_STEPS 128
#define PAGE_CHANGES 100000
#define PAGE_SHARE 1000
#define PAGE_STACKS (1u << 18) /* those with the largest figures; the rest is "[smaller stacks]" */

/* 0 or −ENOMEM. */
int page_data(struct packer *p, const struct snapshot *s);

#endif
