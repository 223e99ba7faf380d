#include "probe/gates.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>

#include "../bpf/share.h"

int gates_make(const struct gate_fds *fds, pid_t pid)
{
	int cpu_cnt = libbpf_num_possible_cpus(), ret = -ENOMEM;
	struct gate_spent *none = cpu_cnt > 0 ? calloc((size_t)cpu_cnt, sizeof(*none)) : NULL;
	const struct gate closed = {.open = 0};
	uint32_t tgid = (uint32_t)pid;

	if (!none)
		return ret;
	ret = bpf_map_update_elem(fds->spent, &tgid, none, BPF_ANY) ? -errno : 0;
	if (!ret && bpf_map_update_elem(fds->gates, &tgid, &closed, BPF_ANY))
		ret = -errno;
	free(none);
	return ret;
}

void gates_drop(const struct gate_fds *fds, pid_t pid)
{
	uint32_t tgid = (uint32_t)pid;

	bpf_map_delete_elem(fds->gates, &tgid);
	bpf_map_delete_elem(fds->spent, &tgid);
}

static int run(const struct gate_fds *fds, const uint64_t args[CELL_ARG_CNT], uint32_t *result)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = args, .ctx_size_in = CELL_ARG_CNT * sizeof(args[0]));
	int ret = bpf_prog_test_run_opts(fds->cell_mark, &opts);

	*result = opts.retval;
	return ret;
}

int gates_mark(const struct gate_fds *fds, pid_t pid, const struct event_cell *cell, uint64_t quota)
{
	const uint64_t args[CELL_ARG_CNT] = {
		[CELL_ARG_TGID] = (uint32_t)pid,
		[CELL_ARG_STATE] = cell->state,
		[CELL_ARG_NUMBER] = cell->number,
		[CELL_ARG_CHANCE] = cell->chance,
		[CELL_ARG_SAMPLE] = cell->sample_bytes,
		[CELL_ARG_FREE_SAMPLE] = cell->free_sample_bytes,
		[CELL_ARG_PROGRESS] = cell->progress,
		[CELL_ARG_ERROR] = cell->progress_error,
		[CELL_ARG_CPU] = cell->cpu,
		[CELL_ARG_QUOTA] = quota,
	};
	uint32_t result;
	int ret = run(fds, args, &result);

	return ret ? ret : result ? -EAGAIN : 0;
}

bool gates_go_on(const struct gate_fds *fds, pid_t pid, uint64_t quota)
{
	const uint64_t args[CELL_ARG_CNT] = {
		[CELL_ARG_TGID] = (uint32_t)pid,
		[CELL_ARG_STATE] = CELL_GO_ON,
		[CELL_ARG_QUOTA] = quota,
	};
	uint32_t result;

	return !run(fds, args, &result) && !result;
}

void gates_see_clock(const struct gate_fds *fds)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);

	bpf_prog_test_run_opts(fds->clock, &opts);
}

uint64_t gates_running(const struct gate_fds *fds, pid_t pid)
{
	const uint64_t tgid = (uint32_t)pid;
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = &tgid, .ctx_size_in = sizeof(tgid));

	return bpf_prog_test_run_opts(fds->running, &opts) ? 0 : opts.retval;
}

bool gates_spent(const struct gate_fds *fds, pid_t pid, struct gate_sum *sum)
{
	int cpu_cnt = libbpf_num_possible_cpus();
	struct gate_spent *per_cpu = cpu_cnt > 0 ? calloc((size_t)cpu_cnt, sizeof(*per_cpu)) : NULL;
	uint32_t tgid = (uint32_t)pid;
	bool found = per_cpu && !bpf_map_lookup_elem(fds->spent, &tgid, per_cpu);

	*sum = (struct gate_sum){0};
	for (int cpu = 0; found && cpu < cpu_cnt; cpu++) {
		sum->entries += per_cpu[cpu].entries;
		sum->returns += per_cpu[cpu].returns;
		sum->stepped += per_cpu[cpu].stepped;
		sum->stacks += per_cpu[cpu].stacks;
		sum->program_ns += per_cpu[cpu].program_ns;
		sum->stack_ns += per_cpu[cpu].stack_ns;
		sum->user_ns += per_cpu[cpu].user_ns;
		sum->system_ns += per_cpu[cpu].system_ns;
	}
	free(per_cpu);
	return found;
}
