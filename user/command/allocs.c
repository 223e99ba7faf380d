#include "command/allocs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/units.h"
#include "detect/brake.h"
#include "detect/freed.h"
#include "picture/ranking.h"

#define SURVEY_STEP_NS (10 * NSEC_PER_SEC / 1000) /* at a time: the consumer of events waits meanwhile */
#define SURVEY_INTERVAL_NS NSEC_PER_SEC           /* no more often, however cheap it is */

struct allocs {
	struct allocs_options options;
	const struct process *process;
	struct tracer *tracer;
	struct ledger *ledger;
	const struct stacks *stacks;
	struct survey *survey;
	struct brake brake;
	struct freed freed;
	char stopped[160];
	uint64_t surveyed_ns; /* when the last survey began; 0: never */
	uint64_t rounded;     /* live_rounded when the heap was read */
	uint64_t rounded_ns;  /* that reading */

	/* What the last view points to. */
	struct allocation_view view;
	struct site_view *sites;
	struct site *figures;       /* estimates, by number; NULL: sites' own figures */
	struct site_bounds *bounds; /* of these */
	const struct site_view **by_number;
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
	brake_init(&a->brake, options->max_share);
	if (a->ledger && a->survey)
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
	free(a->sites);
	free(a->figures);
	free(a->bounds);
	free(a->by_number);
	free(a);
}

void allocs_limit(struct allocs *a, uint64_t max_memory)
{
	ledger_limit(a->ledger, max_memory);
}

void allocs_event(struct allocs *a, const struct event *ev)
{
	const struct traced_function *fn;

	if (ev->head->kind == EVENT_CELL) {
		ledger_cell(a->ledger, ev->cell);
		return;
	}
	fn = tracer_function(a->tracer, ev->head->func);
	if (fn)
		ledger_event(a->ledger, ev, stacks_own_id(a->stacks, ev->block->stack), fn->allocator,
			     fn->on_null);
}

void allocs_exec(struct allocs *a)
{
	ledger_exec(a->ledger);
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

/*
 * Without probes the blocks are as they were then. The heap is not: beside a later walk they
 * would pin what others hold, and be buried as if their frees had been lost.
 */
static bool is_frozen(const struct allocs *a)
{
	return a->stopped[0] && survey_result(a->survey);
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
	if (is_frozen(a) || (!urgent && !survey_is_due(a, now)))
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

static uint64_t target_cpu_ns(const struct process *process)
{
	struct timespec used;
	clockid_t clock;

	if (clock_getcpuclockid(process->pid, &clock) || clock_gettime(clock, &used))
		return 0;
	return (uint64_t)used.tv_sec * NSEC_PER_SEC + (uint64_t)used.tv_nsec;
}

void allocs_tick(struct allocs *a)
{
	uint64_t now = clock_monotonic_ns();

	if (ledger_totals(a->ledger)->untracked.cnt)
		tracer_read_headers(a->tracer);
	if (a->stopped[0] || !brake_is_due(&a->brake, now) ||
	    !brake_sample(&a->brake, now, tracer_probe_ns(a->tracer, a->process->pid),
			  target_cpu_ns(a->process)))
		return;
	tracer_drop_allocs(a->tracer, a->process->pid);
	snprintf(a->stopped, sizeof(a->stopped),
		 "allocation probes removed: they took %.0f %% of its CPU time (--max-overhead %g)",
		 100 * a->brake.tripped_at, 100 * a->options.max_share);
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

static bool has_anything(const struct site *site)
{
	return site->allocated.cnt || site->freed_here.cnt;
}

/* Estimates of all sites, and half the width of what live bytes lie in, relative, by live bytes. */
static int estimate_sites(struct allocs *a, uint32_t cnt, uint64_t now)
{
	double width = 0, live = 0;

	free(a->figures);
	free(a->bounds);
	a->figures = NULL;
	a->bounds = NULL;
	a->view.budget.error = 0;
	if (!ledger_is_estimated(a->ledger))
		return 0;
	a->figures = calloc(cnt, sizeof(*a->figures));
	a->bounds = calloc(cnt, sizeof(*a->bounds));
	if (!a->figures || !a->bounds)
		return -1;
	for (uint32_t i = 0; i < cnt; i++) {
		const struct bounds *b = &a->bounds[i].live;

		ledger_estimate(a->ledger, i, now, &a->figures[i], &a->bounds[i]);
		width += (double)(b->high.bytes - b->low.bytes) / 2;
		live += (double)a->figures[i].live.bytes;
	}
	a->view.budget.error = live > 0 ? width / live : 0;
	return 0;
}

static int fill_sites(struct allocs *a, const struct survey_result *survey, uint64_t now)
{
	struct sites *sites = ledger_sites(a->ledger);
	uint32_t cnt = sites_cnt(sites);

	free(a->sites);
	free(a->by_number);
	a->view.site_cnt = 0;
	memset(a->view.truncated, 0, sizeof(a->view.truncated));
	a->view.number_cnt = cnt;
	a->sites = calloc(cnt, sizeof(*a->sites));
	a->by_number = calloc(cnt, sizeof(*a->by_number));
	a->view.sites = a->sites;
	a->view.by_number = a->by_number;
	if (!a->sites || !a->by_number || estimate_sites(a, cnt, now))
		return -1;
	for (uint32_t i = 0; i < cnt; i++) {
		const struct site *site = a->figures ? &a->figures[i] : sites_at(sites, i);
		const struct stack *stack = stacks_find(a->stacks, site->stack);

		if (!has_anything(site))
			continue;
		a->sites[a->view.site_cnt++] = (struct site_view){
			.number = i,
			.figures = site,
			.survey = survey && i < survey->site_cnt ? &survey->sites[i] : NULL,
			.peak = ledger_at_peak(a->ledger, i),
			.stack = stack,
			.bounds = a->bounds ? &a->bounds[i] : NULL,
		};
		if (stack && stack->cut) {
			site_count_add(&a->view.truncated[STACK_WHOLE], site->allocated);
			site_count_add(&a->view.truncated[stack->cut], site->allocated);
		}
	}
	ranking_arrange(a->sites, a->view.site_cnt, a->by_number);
	return 0;
}

/* Bytes in blocks that probes can see: not those of layers. */
static uint64_t probed_live(const struct heap_state *heap)
{
	uint64_t live = heap->live_heap;

	for (size_t i = 0; i < heap->allocator_cnt && live != UNKNOWN; i++)
		if (heap_is_layer(&heap->allocators[i]))
			live -= heap->allocators[i].live_heap;
	return live;
}

static uint64_t unattributed(const struct allocs *a, const struct heap_state *heap)
{
	uint64_t live = probed_live(heap), rounded = a->rounded;

	if (a->view.budget.estimated)
		rounded = a->view.totals.live_rounded;
	if (a->stopped[0] || !a->rounded_ns || heap->taken_ns != a->rounded_ns || live == UNKNOWN ||
	    rounded == UINT64_MAX)
		return UNKNOWN;
	return live > rounded ? live - rounded : 0;
}

uint64_t allocs_live(const struct allocs *a)
{
	return a->stopped[0] ? UNKNOWN : ledger_live(a->ledger);
}

const struct allocation_view *allocs_view(struct allocs *a, const struct heap_state *heap)
{
	const struct survey_result *survey = survey_result(a->survey);

	uint64_t now = clock_monotonic_ns();

	a->view.before = a->view.totals;
	a->view.budget.estimated = ledger_is_estimated(a->ledger);
	if (a->view.budget.estimated)
		ledger_estimate_totals(a->ledger, now, &a->view.totals, &a->view.budget.totals);
	else
		a->view.totals = *ledger_totals(a->ledger);
	a->view.stacks = stacks_counts(a->stacks);
	a->view.survey = survey;
	a->view.unattributed = unattributed(a, heap);
	a->view.older_ns = a->options.older_ns;
	a->view.top = a->options.top;
	a->view.sample_bytes = a->options.sample_bytes;
	a->view.free_sample_bytes = a->options.free_sample_bytes;
	a->view.probe_cpu_share = a->brake.share;
	a->view.stopped = a->stopped[0] ? a->stopped : NULL;
	return fill_sites(a, survey, now) ? NULL : &a->view;
}
