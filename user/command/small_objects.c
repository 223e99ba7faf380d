#include "command/small_objects.h"

#include <stdlib.h>

#include "base/clock.h"
#include "command/site_rows.h"
#include "heap/ledger.h"
#include "heap/pool_look.h"

#define POOLS_MAX 1024 /* that are looked at for one view: 16 MiB */

extern const struct allocator allocator_pymalloc;

struct small_objects {
	struct small_objects_options options;
	const struct process *process;
	struct tracer *tracer;
	const struct stacks *stacks;
	struct ledger *ledger;
	uint64_t looked_at; /* the address that a look at pools goes on from */

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

/*
 * One died unseen, and its place was taken while that was looked at, by one that may not be among those that
 * are sampled: then nothing else says so. What comes in its place for the ledger stands for nothing.
 */
static void replaced(struct small_objects *o, const struct event *ev, const struct allocator *layer)
{
	struct event_block block = *ev->block;
	struct event birth = *ev;

	block.head.kind = EVENT_ALLOC;
	block.stack = 0;
	birth.block = &block;
	birth.head = &block.head;
	ledger_event(o->ledger, &birth, 0, layer, REALLOC_KEEPS);
	ledger_bury(o->ledger, block.addr);
}

void small_objects_event(struct small_objects *o, const struct event *ev, const struct allocator *layer)
{
	if (ev->head->kind == EVENT_FREE && !ev->block->size && ledger_is_estimated(o->ledger))
		replaced(o, ev, layer);
	else
		ledger_event(o->ledger, ev, stacks_own_id(o->stacks, ev->block->stack), layer, REALLOC_KEEPS);
}

void small_objects_cell(struct small_objects *o, const struct event_cell *cell)
{
	ledger_cell(o->ledger, cell);
}

void small_objects_exec(struct small_objects *o)
{
	ledger_exec(o->ledger);
}

struct address_list {
	uint64_t *v;
	size_t cnt;
};

static void list_address(struct block *block, void *arg)
{
	struct address_list *list = arg;

	list->v[list->cnt++] = block->addr;
}

static int compare_addresses(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void bury_free(struct small_objects *o, const struct address_list *list, struct memory *mem)
{
	enum pool_verdict *verdicts = calloc(list->cnt + 1, sizeof(*verdicts));
	size_t from = 0, looked;

	while (from < list->cnt && list->v[from] < o->looked_at)
		from++;
	looked = verdicts ? pool_look(mem, list->v + from, list->cnt - from, POOLS_MAX, verdicts) : 0;
	for (size_t i = 0; i < looked; i++)
		if (verdicts[i] == POOL_BLOCK_FREE)
			ledger_bury(o->ledger, list->v[from + i]);
	o->looked_at = from + looked < list->cnt ? list->v[from + looked] : 0;
	free(verdicts);
}

/* Those that died unseen and whose place is free are known to be dead. */
static void look_at_pools(struct small_objects *o)
{
	struct blocks *blocks = ledger_blocks(o->ledger);
	struct address_list list = {.v = calloc(blocks_cnt(blocks) + 1, sizeof(*list.v))};
	struct memory *mem = NULL;
	uint64_t cursor = 0;
	struct error err;

	if (list.v && !memory_open_process(o->process->pid, &mem, &err)) {
		while (blocks_scan(blocks, &cursor, 4096, list_address, &list))
			;
		qsort(list.v, list.cnt, sizeof(*list.v), compare_addresses);
		bury_free(o, &list, mem);
	}
	memory_free(mem);
	free(list.v);
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

void small_objects_walked(struct small_objects *o, const struct heap_state *heap)
{
	static const struct heap_pages none;
	const struct heap_allocator *layer = heap_state_find(heap, &allocator_pymalloc);

	if (layer && layer->walked && layer->walk.complete)
		ledger_walked(o->ledger, layer->walk.live_step, &none);
}

bool small_objects_are_there(const struct small_objects *o)
{
	return tracer_sees_objects(o->tracer, o->process->pid) || ledger_totals(o->ledger)->events;
}

const struct objects_view *small_objects_view(struct small_objects *o, const struct heap_state *heap)
{
	const struct heap_allocator *layer = heap_state_find(heap, &allocator_pymalloc);
	struct allocation_view *sites = &o->view.sites;
	struct object_counts counts;
	struct pace_view pace = {.share = -1};

	if (o->options.paced)
		look_at_pools(o);
	if (tracer_pace(o->tracer, o->process->pid, CELL_OBJECTS, &pace))
		o->view.duty = pace.duty; /* of one that has ended, as it was */
	else if (!o->options.paced)
		o->view.duty = 1;
	tracer_object_counts(o->tracer, o->process->pid, &counts);
	sites->before = sites->totals;
	sites->totals = *ledger_totals(o->ledger);
	sites->totals.live = sum_of_live(o->ledger);
	o->view.in_cells = o->options.paced;
	o->view.probe_share = pace.share;
	sites->stacks = stacks_counts(o->stacks);
	sites->unattributed = UNKNOWN;
	sites->top = o->options.top;
	sites->sample_bytes = o->options.sample_bytes;
	sites->budget = (struct budget_view){.probe_share = -1,
					     .tracer_share = -1,
					     .duty = o->view.duty,
					     .duty_now = o->view.duty,
					     .estimated = ledger_is_estimated(o->ledger)};
	if (sites->budget.estimated)
		ledger_estimate_totals(o->ledger, clock_monotonic_ns(), &sites->totals,
				       &sites->budget.totals);
	o->view.born = (struct site_count){counts.taken, counts.taken_bytes};
	o->view.died = (struct site_count){counts.given, counts.given_bytes};
	o->view.live_heap = layer ? layer->live_heap : UNKNOWN;
	o->view.on = tracer_sees_objects(o->tracer, o->process->pid);
	return site_rows_fill(&o->rows, o->ledger, o->stacks, NULL, sites) ? NULL : &o->view;
}
