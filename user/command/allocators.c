/* `alloctrace allocators [PID]`: what is known; or what a process holds, and where attach would place probes.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "command/command.h"
#include "command/host_pids.h"
#include "command/options.h"
#include "heap/serving.h"
#include "heap/state.h"
#include "probe/outlook.h"
#include "probe/tracer.h"
#include "report/allocators.h"
#include "target/memory.h"
#include "target/objects.h"
#include "target/process.h"

/* What one look at a process holds, taken down in reverse. */
struct look {
	const struct options *options;
	struct log log;
	struct process process;
	struct memory *mem;
	struct maps maps;
	struct objects *objects;
	struct heap_reader *reader;
	struct heap_state heap;
	struct serving found[SERVING_MAX];
	struct outlook outlook;
	struct probe_cost cost;
	bool return_probes;
	struct error no_cost;
	struct allocators_report report;
};

/* As attach would do it, with nothing attached to the process: what a hit costs is tried on a child of ours.
 */
static void find_costs(struct look *look)
{
	const struct tracer_options wanted = {
		.allocs = true,
		.stacks = true,
		.free_sample_bytes = look->options->stacks.free_sample_bytes,
		.size_max = UINT64_MAX,
	};
	struct tracer *tracer;

	look->return_probes = true;
	if (tracer_open(&look->log, &wanted, &tracer, &look->no_cost)) {
		look->report.cost_unknown = look->no_cost.text;
		return;
	}
	look->cost = tracer_cost(tracer);
	look->return_probes = tracer_has_return_probes(tracer);
	look->report.cost = &look->cost;
	tracer_free(tracer);
}

static int read_heap(struct look *look, struct error *err)
{
	look->reader = heap_reader_new(&look->process, look->mem, false);
	if (!look->reader)
		return error_set(err, -ENOMEM, "no memory to read the heap of process %d", look->process.pid);
	heap_reader_know(look->reader, look->options->custom.kinds);
	return heap_state_read(look->reader, &look->heap, err);
}

/* What a process has to pay for comes first: what serves, then what does not, then layers. */
static int by_use(const void *x, const void *y)
{
	const struct serving *a = x, *b = y;
	int left = a->kind->layer ? 2 : !a->reached, right = b->kind->layer ? 2 : !b->reached;

	if (left != right || !a->object || !b->object)
		return left - right;
	return a->object->start < b->object->start ? -1 : 1;
}

/* A static program without symbols shows its allocator by its heap alone. */
static size_t add_by_heap(struct look *look, size_t cnt)
{
	for (size_t i = 0; i < look->heap.allocator_cnt && cnt < SERVING_MAX; i++) {
		const struct heap_allocator *a = &look->heap.allocators[i];
		bool known = false;

		for (size_t k = 0; k < cnt; k++)
			known = known || look->found[k].kind == a->kind;
		if (!known)
			look->found[cnt++] = (struct serving){.kind = a->kind, .reached = a->serving};
	}
	return cnt;
}

/*
 * Call slots that nobody has called through yet say less than the heaps that exist, and a ptmalloc
 * that never started serves nobody, whatever points at it. Of several of a kind call slots decide.
 */
static bool serves(const struct look *look, size_t number, size_t cnt)
{
	const struct serving *s = &look->found[number];
	const struct heap_allocator *a = heap_state_find(&look->heap, s->kind);
	size_t same = 0;

	for (size_t i = 0; i < cnt; i++)
		same += look->found[i].kind == s->kind;
	return a && a->serving && (s->reached || same == 1);
}

static void find_allocators(struct look *look)
{
	struct serving *found = look->found;
	size_t cnt = serving_find(&look->maps, look->objects, look->mem, look->options->custom.kinds, found);

	for (size_t i = 0; i < cnt; i++)
		found[i].reached = serves(look, i, cnt);
	look->report.found_cnt = cnt = add_by_heap(look, cnt);
	qsort(found, cnt, sizeof(*found), by_use);
}

static int look_at(struct look *look, struct error *err)
{
	const struct allocator *const *more = look->options->custom.kinds;
	struct outlook_options options = {.log = &look->log, .more = more};
	int result = memory_open_process(look->process.pid, &look->mem, err);

	result = result ?: memory_maps(look->mem, &look->maps, err);
	result = result ?: read_heap(look, err);
	if (result)
		return result;
	look->objects = objects_new(look->process.pid);
	if (!look->objects)
		return error_set(err, -ENOMEM, "no memory to look at process %d", look->process.pid);
	find_allocators(look);
	find_costs(look);
	options.return_probes = look->return_probes;
	options.cost = look->report.cost;
	result = outlook_make(&options, &look->maps, look->objects, &look->outlook);
	return result ? error_set(err, result, "no memory to look at process %d", look->process.pid) : 0;
}

static void clean_up(struct look *look)
{
	outlook_free(&look->outlook);
	heap_state_free(&look->heap);
	heap_reader_free(look->reader);
	objects_free(look->objects);
	maps_free(&look->maps);
	memory_free(look->mem);
	process_close(&look->process);
}

int command_allocators(int argc, char **argv)
{
	struct options options;
	struct look look = {.options = &options, .log = {.out = stderr}};
	struct error err;
	int result, written = 0, status = options_parse_allocators(argc, argv, &options);

	if (status != OPTIONS_GO)
		return status;
	if (!options.pid)
		return command_finish_output(options.json ? report_known_json(stdout)
							  : report_known_text(stdout));
	look.log.verbose = options.verbose;
	look.report.process = &look.process;
	look.report.heap = &look.heap;
	look.report.found = look.found;
	look.report.outlook = &look.outlook;
	result = host_pids(&options, &err);
	result = result ?: process_open(options.pid, &look.process, &err);
	if (!result) {
		result = look_at(&look, &err);
		if (!result)
			written = options.json ? report_allocators_json(stdout, &look.report)
					       : report_allocators_text(stdout, &look.report);
		clean_up(&look);
	}
	if (result)
		log_warn(&look.log, "%s", err.text);
	status = command_finish_output(written);
	return result ? STATUS_FAILED : status;
}
