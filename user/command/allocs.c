#include "command/allocs.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/units.h"
#include "command/site_rows.h"
#include "command/small_objects.h"
#include "command/toll.h"
#include "detect/freed.h"

#define SURVEY_STEP_NS (10 * NSEC_PER_SEC / 1000) /* at a time: the consumer of events waits meanwhile */
#define SURVEY_INTERVAL_NS NSEC_PER_SEC           /* no more often, however cheap it is */

struct allocs {
	struct allocs_options options;
	const struct process *process;
	struct tracer *tracer;
	struct ledger *ledger;
	const struct stacks *stacks;
	struct survey *survey;
	struct freed freed;
	struct toll toll;
	uint64_t surveyed_ns; /* when the last survey began; 0: never */
	uint64_t rounded;     /* live_rounded when the heap was read */
	uint64_t rounded_ns;  /* that reading */

	/* What the last view points to. */
	struct allocation_view view;
	struct site_rows rows;
	struct small_objects *objects; /* NULL: not asked for */
};

struct allocs *allocs_new(const struct allocs_options *options, const struct process *process,
			  struct tracer *tracer, const struct stacks *stacks)
{
	const struct ledger_options ledger = {
		.max_memory = options->max_memory,
		.size_min = options->size_min,
		.size_max = options->size_max,
		.began_ns = clock_monotonic_ns(),
		.sample_bytes = options->sample_bytes,
		.free_sample_bytes = options->free_sample_bytes,
	};
	struct allocs *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->options = *options;
	a->process = process;
	a->tracer = tracer;
	a->ledger = ledger_new(&ledger);
	a->stacks = stacks;
	a->survey = survey_new();
	if (options->objects.wanted)
		a->objects = small_objects_new(&options->objects, process, tracer, stacks);
	if (a->ledger && a->survey && (a->objects || !options->objects.wanted))
		return a;
	allocs_free(a);
	return NULL;
}

void allocs_free(struct allocs *a)
{
	if (!a)
		return;
	survey_free(a->survey);
	ledger_free(a->ledger);
	freed_free(&a->freed);
	site_rows_free(&a->rows);
	small_objects_free(a->objects);
	free(a);
}

void allocs_limit(struct allocs *a, uint64_t max_memory)
{
	ledger_limit(a->ledger, max_memory);
}

void allocs_event(struct allocs *a, const struct event *ev)
{
	const struct traced_function *fn;

	fn = tracer_function(a->tracer, ev->head->func);
	if (fn && fn->allocator && fn->allocator->layer) {
		if (a->objects)
			small_objects_event(a->objects, ev, fn->allocator);
	} else if (fn)
		ledger_event(a->ledger, ev, stacks_own_id(a->stacks, ev->block->stack), fn->allocator,
			     fn->on_null);
}

void allocs_cell(struct allocs *a, const struct event_cell *cell)
{
	if (cell->head.func == CELL_BLOCKS)
		ledger_cell(a->ledger, cell);
	else if (a->objects)
		small_objects_cell(a->objects, cell);
}

void allocs_exec(struct allocs *a)
{
	ledger_exec(a->ledger);
	if (a->objects)
		small_objects_exec(a->objects);
}

/* Events whose loss can leave a block in the table that is not live any more. */
static uint64_t lost_events(const struct allocs *a)
{
	uint64_t lost[SOURCE_LOSS_CNT];

	tracer_losses(a->tracer, lost);
	return lost[LOSS_RING_FULL] + lost[LOSS_PENDING_FULL] + lost[SOURCE_LOSS_MALFORMED];
}

/* The walk of the allocator that serves and can be walked. */
static struct heap_walk *walk_of(struct heap_state *heap)
{
	for (size_t i = 0; i < heap->allocator_cnt; i++)
		if (heap->allocators[i].serving && heap->allocators[i].walked)
			return &heap->allocators[i].walk;
	return NULL;
}

static bool survey_is_due(const struct allocs *a, uint64_t now)
{
	const struct survey_result *last = survey_result(a->survey);
	uint64_t pause = last ? (uint64_t)((double)last->cost_ns / a->options.survey_share) : 0;

	if (survey_is_busy(a->survey))
		return false;
	return !a->surveyed_ns ||
	       now - a->surveyed_ns >= (pause > SURVEY_INTERVAL_NS ? pause : SURVEY_INTERVAL_NS);
}

/* What is live of the allocators that the probes see, if all of it was counted. */
static void walked(struct allocs *a, struct heap_state *heap)
{
	static const struct heap_pages none;
	const struct heap_walk *walk = walk_of(heap);
	struct heap_blocks live[STEP_CNT] = {{0}};

	if (heap_probed_live(heap) == UNKNOWN)
		return;
	for (size_t i = 0; i < heap->allocator_cnt; i++) {
		const struct heap_allocator *one = &heap->allocators[i];

		if (!one->serving || !one->walked || heap_is_layer(one))
			continue;
		if (!one->walk.complete)
			return;
		for (unsigned step = 0; step < STEP_CNT; step++)
			heap_blocks_add(&live[step], &one->walk.live_step[step]);
	}
	ledger_walked(a->ledger, live, walk ? &walk->pages : &none);
}

void allocs_sample(struct allocs *a, struct sample *sample, bool urgent)
{
	uint64_t now = clock_monotonic_ns();
	const struct survey_options options = {
		.older_ns = a->options.older_ns,
		.judge_ghosts = lost_events(a) || ledger_totals(a->ledger)->ghosts.cnt ||
				ledger_is_estimated(a->ledger),
	};

	a->rounded = ledger_totals(a->ledger)->live_rounded;
	a->rounded_ns = sample->heap.taken_ns;
	walked(a, &sample->heap);
	if (a->objects)
		small_objects_walked(a->objects, &sample->heap);
	if (!urgent && !survey_is_due(a, now))
		return;
	survey_begin(a->survey, a->ledger, walk_of(&sample->heap), now, &options);
	a->surveyed_ns = now;
}

bool allocs_work(struct allocs *a)
{
	return survey_step(a->survey, SURVEY_STEP_NS);
}

bool allocs_is_busy(const struct allocs *a)
{
	return survey_is_busy(a->survey);
}

void allocs_tick(struct allocs *a)
{
	if (ledger_totals(a->ledger)->untracked.cnt)
		tracer_read_headers(a->tracer);
	toll_tick(&a->toll, a->tracer, a->process);
}

void allocs_before_sample(struct allocs *a, struct window_detector *d)
{
	freed_before(&a->freed, ledger_sites(a->ledger), d);
}

void allocs_after_sample(struct allocs *a, struct window_detector *d)
{
	freed_after(&a->freed, ledger_sites(a->ledger), d);
}

const struct stack *allocs_stack(const struct allocs *a, uint32_t site)
{
	struct sites *sites = ledger_sites(a->ledger);

	return site < sites_cnt(sites) ? stacks_find(a->stacks, sites_at(sites, site)->stack) : NULL;
}

static struct bounds exactly(struct site_count figure)
{
	return (struct bounds){figure, figure};
}

/* All is seen, but for stacks that are sampled. */
static struct budget_view budget(const struct allocs *a)
{
	const struct ledger_totals *t = &a->view.totals;
	struct pace_view pace = {.duty = 1, .duty_now = 1}, objects;

	pace.share = toll_probe_share(&a->toll);
	tracer_pace(a->tracer, a->process->pid, CELL_BLOCKS, &pace);
	if (tracer_pace(a->tracer, a->process->pid, CELL_OBJECTS, &objects))
		pace.share += objects.share;
	return (struct budget_view){
		.max_overhead = a->options.max_share,
		.probe_share = pace.share,
		.tracer_share = toll_our_share(&a->toll),
		.duty = pace.duty,
		.duty_now = pace.duty_now,
		.estimated = a->options.sample_bytes != 0,
		.totals = {exactly(t->live), exactly(t->allocated), exactly(t->freed), exactly(t->freed)},
	};
}

static uint64_t unattributed(const struct allocs *a, const struct heap_state *heap)
{
	uint64_t live = heap_probed_live(heap);

	uint64_t rounded = ledger_is_estimated(a->ledger) ? a->view.totals.live_rounded : a->rounded;

	if (!a->rounded_ns || heap->taken_ns != a->rounded_ns || live == UNKNOWN || rounded == UINT64_MAX)
		return UNKNOWN;
	return live > rounded ? live - rounded : 0;
}

uint64_t allocs_live(const struct allocs *a)
{
	return ledger_live(a->ledger);
}

const struct allocation_view *allocs_view(struct allocs *a, const struct heap_state *heap)
{
	const struct survey_result *survey = survey_result(a->survey);
	struct site_bounds bounds;

	a->view.before = a->view.totals;
	a->view.totals = *ledger_totals(a->ledger);
	if (ledger_is_estimated(a->ledger)) {
		ledger_estimate_totals(a->ledger, clock_monotonic_ns(), &a->view.totals, &bounds);
	}
	a->view.stacks = stacks_counts(a->stacks);
	a->view.survey = survey;
	a->view.unattributed = unattributed(a, heap);
	a->view.older_ns = a->options.older_ns;
	a->view.top = a->options.top;
	a->view.sample_bytes = a->options.sample_bytes;
	a->view.free_sample_bytes = a->options.free_sample_bytes;
	a->view.budget = budget(a);
	if (ledger_is_estimated(a->ledger)) {
		a->view.budget.estimated = true;
		a->view.budget.totals = bounds;
	}
	a->view.objects = NULL;
	if (a->objects && small_objects_are_there(a->objects)) {
		a->view.objects = small_objects_view(a->objects, heap);
		if (!a->view.objects)
			return NULL;
	}
	return site_rows_fill(&a->rows, a->ledger, a->stacks, survey, &a->view) ? NULL : &a->view;
}
