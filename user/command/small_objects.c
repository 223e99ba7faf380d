#include "command/small_objects.h"

#include <stdlib.h>

#include "base/clock.h"
#include "command/site_rows.h"
#include "heap/ledger.h"

extern const struct allocator allocator_pymalloc;

struct small_objects {
	struct small_objects_options options;
	const struct process *process;
	struct tracer *tracer;
	const struct stacks *stacks;
	struct ledger *ledger;
	bool on;

	/* What the last view points to. */
	struct objects_view view;
	struct site_rows rows;
};

struct small_objects *small_objects_new(const struct small_objects_options *options,
					const struct process *process, struct tracer *tracer,
					const struct stacks *stacks)
{
	const struct ledger_options ledger = {
		.max_memory = options->max_memory,
		.size_max = UINT64_MAX,
		.began_ns = clock_monotonic_ns(),
		.sample_bytes = options->sample_bytes,
	};
	struct small_objects *o = calloc(1, sizeof(*o));

	if (!o)
		return NULL;
	o->options = *options;
	o->process = process;
	o->tracer = tracer;
	o->stacks = stacks;
	o->ledger = ledger_new(&ledger);
	if (!o->ledger) {
		small_objects_free(o);
		return NULL;
	}
	small_objects_tick(o);
	return o;
}

void small_objects_free(struct small_objects *o)
{
	if (!o)
		return;
	ledger_free(o->ledger);
	site_rows_free(&o->rows);
	free(o);
}

void small_objects_event(struct small_objects *o, const struct event *ev, const struct allocator *layer)
{
	ledger_event(o->ledger, ev, stacks_own_id(o->stacks, ev->block->stack), layer, REALLOC_KEEPS);
}

void small_objects_exec(struct small_objects *o)
{
	ledger_exec(o->ledger);
}

void small_objects_tick(struct small_objects *o)
{
	if (!o->on)
		o->on = !tracer_objects(o->tracer, o->process->pid, o->options.sample_bytes, o->options.max_share);
}

/* What is live of all sites together: as it is estimated by site. */
static struct site_count sum_of_live(struct ledger *ledger)
{
	struct sites *sites = ledger_sites(ledger);
	struct site_count sum = {0};

	for (uint32_t i = 0; i < sites_cnt(sites); i++)
		site_count_add(&sum, sites_at(sites, i)->live);
	return sum;
}

const struct objects_view *small_objects_view(struct small_objects *o, const struct heap_state *heap)
{
	const struct heap_allocator *layer = heap_state_find(heap, &allocator_pymalloc);
	struct allocation_view *sites = &o->view.sites;
	struct object_counts counts;

	if (!tracer_object_counts(o->tracer, o->process->pid, &counts))
		counts = (struct object_counts){.hits = 0};
	sites->before = sites->totals;
	sites->totals = *ledger_totals(o->ledger);
	sites->totals.live = sum_of_live(o->ledger);
	sites->stacks = stacks_counts(o->stacks);
	sites->unattributed = UNKNOWN;
	sites->top = o->options.top;
	sites->sample_bytes = o->options.sample_bytes;
	sites->probe_cpu_share = -1;
	o->view.born = (struct site_count){counts.taken, counts.taken_bytes};
	o->view.died = (struct site_count){counts.given, counts.given_bytes};
	o->view.live_heap = layer ? layer->live_heap : UNKNOWN;
	o->view.on = o->on;
	return site_rows_fill(&o->rows, o->ledger, o->stacks, NULL, sites) ? NULL : &o->view;
}
