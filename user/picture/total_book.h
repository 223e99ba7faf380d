/*
 * Inside of a sum of processes: total.c (the whole, and what its heaps hold), total_allocs.c (who allocated),
 * total_findings.c (what was found, by time).
 */
#ifndef ALLOCTRACE_PICTURE_TOTAL_BOOK_H
#define ALLOCTRACE_PICTURE_TOTAL_BOOK_H

#include "picture/budget_sum.h"
#include "picture/merged_sites.h"
#include "picture/total.h"

#define TOTAL_KINDS_MAX 16
#define TOTAL_MISSING_MAX 16

struct total {
	struct merged_sites *sites;
	struct returned kept_returned;
	struct own_returns kept_own_returns;
	struct collector_view kept_collector;
	uint64_t kept_purges, kept_marks;
	struct finding_totals kept_totals;
	struct ledger_totals kept;
	struct budget_sum kept_budget;
	bool kept_allocs; /* there was something to keep */
	/* Python's small objects. */
	struct merged_sites *object_sites;
	struct objects_view kept_objects;
	struct budget_sum kept_object_budget;
	bool kept_any_objects;

	/* What the last sum points to. */
	struct heap_state heap;
	struct heap_allocator allocators[TOTAL_KINDS_MAX];
	struct allocation_view allocs;
	struct budget_sum budget;
	struct survey_result survey;
	struct objects_view objects;
	struct budget_sum object_budget;
	const struct purge_finding **purges;
	pid_t *purge_pids;
	const struct mark_finding **marks;
	pid_t *mark_pids;
	struct window_finding *windows;
	pid_t *window_pids;
	struct churn_finding *churn_rows;
	const struct churn_finding **churn;
	struct own_returns own_returns;
	struct collector_view collector;
	struct collector_gap *gaps;
	const char *missing[TOTAL_MISSING_MAX];
};

/* UNKNOWN if one of both is. */
static inline void total_add_figure(uint64_t *sum, uint64_t part)
{
	*sum = *sum == UNKNOWN || part == UNKNOWN ? UNKNOWN : *sum + part;
}

/* What an ended process leaves behind of it. */
void total_keep_allocs(struct total *total, const struct allocation_view *ended);
void total_keep_collector(struct total *total, const struct collector_view *ended);
/* Into *sum, which points into total. 0 or −ENOMEM. Findings after allocations, whose sites they name. */
int total_allocs(struct total *total, const struct snapshot *const *v, size_t cnt, bool with_ended, struct snapshot *sum);
int total_findings(struct total *total, const struct snapshot *const *v, size_t cnt, struct snapshot *sum);
/* What the last sum of findings has made. */
void total_forget_findings(struct total *total);

#endif
