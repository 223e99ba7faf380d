#include "picture/total_book.h"

/* Peaks are not of one moment: there is none of the sum. */
static void add_totals(struct ledger_totals *sum, const struct ledger_totals *part)
{
	site_count_add(&sum->allocated, part->allocated);
	site_count_add(&sum->freed, part->freed);
	site_count_add(&sum->freed_before, part->freed_before);
	site_count_add(&sum->live, part->live);
	site_count_add(&sum->temporary, part->temporary);
	total_add_figure(&sum->live_rounded, part->live_rounded);
	sum->failed += part->failed;
	site_count_add(&sum->ghosts, part->ghosts);
	site_count_add(&sum->untracked, part->untracked);
	sum->events += part->events;
}

static void add_survey(struct survey_result *sum, const struct survey_result *part)
{
	if (!sum->walked_ns || part->walked_ns < sum->walked_ns)
		sum->walked_ns = part->walked_ns;
	sum->pinned += part->pinned;
	sum->rest.pinned += part->rest.pinned;
	sum->ghosts += part->ghosts;
	sum->cost_ns += part->cost_ns;
	for (int i = 0; i < HEAP_CLASS_CNT; i++)
		heap_blocks_add(&sum->rest_class[i], &part->rest_class[i]);
}

static void add_stacks(struct stacks_counts *sum, const struct stacks_counts *part)
{
	sum->known += part->known;
	sum->again += part->again;
	sum->refused += part->refused;
}

static void add_allocs(struct total *t, const struct allocation_view *part)
{
	struct allocation_view *sum = &t->allocs;

	add_totals(&sum->totals, &part->totals);
	add_totals(&sum->before, &part->before);
	total_add_figure(&sum->unattributed, part->unattributed);
	if (part->survey) {
		add_survey(&t->survey, part->survey);
		sum->survey = &t->survey;
	}
	sum->older_ns = part->older_ns;
	sum->top = part->top;
	sum->sample_bytes = part->sample_bytes;
	sum->free_sample_bytes = part->free_sample_bytes;
	add_stacks(&sum->stacks, &part->stacks);
	for (int i = 0; i < STACK_CUT_CNT; i++)
		site_count_add(&sum->truncated[i], part->truncated[i]);
	budget_sum_add(&t->budget, part);
	merged_sites_add(t->sites, part);
}

static void add_objects(struct total *t, const struct objects_view *part)
{
	struct objects_view *sum = &t->objects;

	add_totals(&sum->sites.totals, &part->sites.totals);
	site_count_add(&sum->born, part->born);
	site_count_add(&sum->died, part->died);
	total_add_figure(&sum->live_heap, part->live_heap);
	sum->on |= part->on;
	sum->in_cells |= part->in_cells;
	sum->sites.top = part->sites.top;
	sum->sites.sample_bytes = part->sites.sample_bytes;
	if (part->duty < sum->duty)
		sum->duty = part->duty;
	if (part->probe_share > sum->probe_share)
		sum->probe_share = part->probe_share;
	budget_sum_add(&t->object_budget, &part->sites);
	merged_sites_add(t->object_sites, &part->sites);
}

/* Of those that have any. */
static int sum_objects(struct total *t, const struct snapshot *const *v, size_t cnt, bool with_ended)
{
	bool any = t->kept_any_objects;
	int rc;

	t->objects = t->kept_objects;
	t->objects.sites.unattributed = UNKNOWN;
	t->objects.duty = 1;
	t->objects.probe_share = -1;
	if (!with_ended)
		t->objects.sites.totals.live = (struct site_count){0};
	budget_sum_begin(&t->object_budget, &t->kept_object_budget, with_ended);
	merged_sites_begin(t->object_sites, with_ended);
	for (size_t i = 0; i < cnt; i++) {
		if (!v[i]->allocs || !v[i]->allocs->objects)
			continue;
		add_objects(t, v[i]->allocs->objects);
		any = true;
	}
	if (!any)
		return 0;
	rc = merged_sites_view(t->object_sites, &t->objects.sites);
	if (!rc)
		budget_sum_view(&t->object_budget, &t->objects.sites);
	t->allocs.objects = &t->objects;
	return rc;
}

static void keep_objects(struct total *t, const struct objects_view *ended)
{
	t->kept_any_objects = true;
	add_totals(&t->kept_objects.sites.totals, &ended->sites.totals);
	site_count_add(&t->kept_objects.born, ended->born);
	site_count_add(&t->kept_objects.died, ended->died);
	t->kept_objects.in_cells |= ended->in_cells;
	budget_sum_keep(&t->kept_object_budget, &ended->sites);
	merged_sites_keep(t->object_sites, &ended->sites);
}

void total_keep_allocs(struct total *t, const struct allocation_view *ended)
{
	t->kept_allocs = true;
	add_totals(&t->kept, &ended->totals);
	budget_sum_keep(&t->kept_budget, ended);
	merged_sites_keep(t->sites, ended);
	if (ended->objects)
		keep_objects(t, ended->objects);
}

int total_allocs(struct total *t, const struct snapshot *const *v, size_t cnt, bool with_ended,
		 struct snapshot *sum)
{
	bool any = t->kept_allocs;
	int rc;

	t->survey = (struct survey_result){.walked_ns = 0};
	t->allocs = (struct allocation_view){.totals = t->kept, .before = t->kept};
	if (!with_ended)
		t->allocs.totals.live = t->allocs.before.live = (struct site_count){0};
	budget_sum_begin(&t->budget, &t->kept_budget, with_ended);
	merged_sites_begin(t->sites, with_ended);
	for (size_t i = 0; i < cnt; i++) {
		any |= v[i]->allocs != NULL;
		if (v[i]->allocs)
			add_allocs(t, v[i]->allocs);
	}
	sum->allocs = any ? &t->allocs : NULL;
	rc = any ? merged_sites_view(t->sites, &t->allocs) : 0;
	if (any && !rc)
		budget_sum_view(&t->budget, &t->allocs);
	return rc ?: any ? sum_objects(t, v, cnt, with_ended) : 0;
}
