/* The time of a page's data (page_data.h): points, and what the figures changed by in each step. */
#ifndef ALLOCTRACE_REPORT_PAGE_STEPS_H
#define ALLOCTRACE_REPORT_PAGE_STEPS_H

#include "picture/history.h"
#include "report/packer.h"
#include "report/page_tree.h"

void page_points(struct packer *p, const struct history_view *history, uint64_t started_ns);
/* nodes: of the history's sites. 0 or −ENOMEM. */
int page_steps(struct packer *p, const struct history_view *history, uint64_t started_ns,
	       const struct page_tree *tree, const uint32_t *nodes);

#endif
