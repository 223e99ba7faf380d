/* `alloctrace heap PID`: one look at a process's heap, without probes. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/units.h"
#include "command/command.h"
#include "report/report.h"
#include "command/host_pids.h"
#include "command/options.h"
#include "heap/state.h"
#include "picture/snapshot.h"
#include "target/memory.h"
#include "target/process.h"
#include "target/stop.h"

/* A thread that was stopped inside malloc leaves its arena half changed: it gets time to come out. */
#define STOP_TRIES 5
#define STOP_PAUSE_NS (10 * NSEC_PER_SEC / 1000)

static bool adds_up(const struct heap_state *state)
{
	for (size_t i = 0; i < state->allocator_cnt; i++) {
		if (state->allocators[i].walked && !state->allocators[i].walk.complete)
			return false;
	}
	return state->note[0] == '\0' || !state->allocator_cnt;
}

/* Stops, reads and releases until a stop has met the heap between two changes. */
static int read_stopped(pid_t pid, struct heap_reader *reader, struct heap_state *state,
			const struct log *log, struct error *err)
{
	uint64_t began;
	struct stop *stop;
	int result;

	for (unsigned try = 1;; try++) {
		began = clock_monotonic_ns();
		result = stop_process(pid, &stop, err);
		if (result != 0)
			return result;
		result = heap_state_read(reader, state, err);
		stop_release(stop);
		log_note(log, "process %d stood still for %.1f ms", pid,
			 (double)(clock_monotonic_ns() - began) / 1e6);
		if (result != 0 || adds_up(state) || try == STOP_TRIES)
			return result;
		heap_state_free(state);
		nanosleep(&(struct timespec){.tv_nsec = STOP_PAUSE_NS}, NULL);
	}
}

static int read_heap(const struct process *p, const struct options *options, const struct log *log,
		     struct heap_state *state, struct error *err)
{
	struct heap_reader *reader = NULL;
	struct memory *mem;
	int result = memory_open_process(p->pid, &mem, err);

	if (result != 0)
		return result;
	reader = heap_reader_new(p, mem, false);
	if (!reader)
		result = error_set(err, -ENOMEM, "no memory to read the heap of process %d", p->pid);
	else if (options->stop)
		result = read_stopped(p->pid, reader, state, log, err);
	else
		result = heap_state_read(reader, state, err);
	if (result == 0)
		log_note(log, "read in %.1f ms of CPU time: %llu reads, %llu bytes",
			 (double)state->cost_ns / 1e6, (unsigned long long)mem->reads,
			 (unsigned long long)mem->bytes_read);
	heap_reader_free(reader);
	memory_free(mem);
	return result;
}

static int report(const struct process *p, const struct heap_state *state, const struct options *options)
{
	const char *note = state->note;
	struct process_usage usage = {0};
	bool lazy_free = process_usage(p, true, &usage) == 0;
	struct snapshot s = {
		.time_ns = clock_monotonic_ns(),
		.started_ns = state->taken_ns,
		.pid = p->pid,
		.command = p->comm,
		.final = true,
		.lazy_free = lazy_free ? usage.lazy_free : UNKNOWN,
		.heap = state,
		.returned = {UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN,
			     UNKNOWN}, /* no probes, no history */
		.missing = &note,
		.missing_cnt = note[0] != '\0',
	};

	s.rss = usage.rss ? usage.rss : UNKNOWN;
	s.swap = usage.rss ? usage.swap : UNKNOWN;
	return options->json ? report_json(stdout, &s) : report_heap_text(stdout, &s);
}

int command_heap(int argc, char **argv)
{
	struct log log = {.out = stderr};
	struct heap_state state = {0};
	struct options options;
	struct process process;
	struct error err;
	int result, status;

	status = options_parse_heap(argc, argv, &options);
	if (status != OPTIONS_GO)
		return status;
	log.verbose = options.verbose;
	result = host_pids(&options, &err);
	result = result != 0 ? result : process_open(options.pid, &process, &err);
	if (result == 0) {
		result = read_heap(&process, &options, &log, &state, &err);
		if (result == 0)
			status = command_finish_output(report(&process, &state, &options));
		process_close(&process);
	}
	if (result != 0) {
		log_warn(&log, "%s", err.text);
		status = STATUS_FAILED;
	}
	heap_state_free(&state);
	return status;
}
