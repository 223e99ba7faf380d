/* `alloctrace purge PID`: the serving allocator's purge, called inside the process. */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "command/command.h"
#include "command/host_pids.h"
#include "command/options.h"
#include "heap/state.h"
#include "purge/plan.h"
#include "purge/search.h"
#include "report/purge.h"
#include "target/memory.h"
#include "target/process.h"

/* What one run of the command holds, taken down in reverse. */
struct purge_run {
	const struct options *options;
	struct log log;
	struct process process;
	struct memory *mem;
	struct heap_reader *reader;
	struct heap_state state;
	struct purge_plan plan;
	struct search search;
	struct purge_report report;
};

/* Of those that serve the one that has the most to give: most processes have one. */
static const struct heap_allocator *choose(const struct heap_state *state)
{
	const struct heap_allocator *best = NULL;

	for (size_t i = 0; i < state->allocator_cnt; i++) {
		const struct heap_allocator *a = &state->allocators[i];
		uint64_t resident = a->resident == UNKNOWN ? 0 : a->resident;

		if (a->serving && (!best || resident > best->resident))
			best = a;
	}
	return best;
}

/* What there is to purge, and how, without touching the process. */
static int prepare(struct purge_run *run, struct error *err)
{
	struct process_usage usage;
	int result = memory_open_process(run->process.pid, &run->mem, err);

	if (result)
		return result;
	run->reader = heap_reader_new(&run->process, run->mem, false);
	if (!run->reader)
		return error_set(err, -ENOMEM, "no memory to read the heap of process %d", run->process.pid);
	result = heap_state_read(run->reader, &run->state, err);
	if (result)
		return result;
	if (run->state.note[0])
		log_warn(&run->log, "%s", run->state.note);
	run->report.allocator = choose(&run->state);
	if (!run->report.allocator)
		return error_set(err, -ENOTSUP, "no allocator that we know serves process %d",
				 run->process.pid);
	if (process_usage(&run->process, false, &usage))
		return error_set(err, -ESRCH, "process %d has ended", run->process.pid);
	run->report.rss = usage.rss;
	run->report.expected_ns = purge_method_duration(run->report.allocator);
	return purge_plan_make(&run->process, run->mem, run->report.allocator->kind, run->options->dry_run,
			       &run->plan, err);
}

/* The call itself; what it comes to is in the report. */
static int call(struct purge_run *run, struct error *err)
{
	int result;

	if (run->options->dry_run)
		return search_look(&run->plan, &run->search, err);
	result = search_call(&run->plan, &run->log, run->options->timeout_ns, &run->search, err);
	run->report.done = result == 0;
	if (result == -EAGAIN)
		run->report.refused = err->text;
	if (result == 0 && process_usage(&run->process, true, &run->report.after))
		return error_set(err, -ESRCH, "process %d has ended since", run->process.pid);
	return result;
}

static int run_purge(struct purge_run *run, struct error *err, int *written)
{
	int result = prepare(run, err);

	if (result)
		return result;
	if (!run->options->json)
		*written = report_purge_begin(stdout, &run->report);
	result = call(run, err);
	if (result && result != -EAGAIN)
		return result;
	*written = run->options->json ? report_purge_json(stdout, &run->report)
				      : report_purge_end(stdout, &run->report);
	return result;
}

static void clean_up(struct purge_run *run)
{
	search_free(&run->search);
	purge_plan_free(&run->plan);
	heap_state_free(&run->state);
	heap_reader_free(run->reader);
	memory_free(run->mem);
	process_close(&run->process);
}

int command_purge(int argc, char **argv)
{
	struct options options;
	struct purge_run run = {.options = &options, .log = {.out = stderr}};
	struct error err;
	int result, written = 0, status = options_parse_purge(argc, argv, &options);

	if (status != OPTIONS_GO)
		return status;
	run.log.verbose = options.verbose;
	run.report.process = &run.process;
	run.report.search = &run.search;
	run.report.dry_run = options.dry_run;
	result = host_pids(&options, &err);
	result = result ? result : process_open(options.pid, &run.process, &err);
	if (result == 0) {
		result = run_purge(&run, &err, &written);
		clean_up(&run);
	}
	if (result && result != -EAGAIN)
		log_warn(&run.log, "%s", err.text);
	status = command_finish_output(written);
	return result ? STATUS_FAILED : status;
}
