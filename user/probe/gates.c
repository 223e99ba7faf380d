#include "probe/gates.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>

#include "../bpf/share.h"

/* A free one becomes the key's. −ENOSPC: there is none. */
static int take_slot(const struct gate_fds *fds, uint64_t key, uint32_t *slot)
{
	for (*slot = 0; *slot < fds->cnt; ++*slot) {
		if (!bpf_map_update_elem(fds->taken, slot, &key, BPF_NOEXIST))
			return 0;
		if (errno != EEXIST)
			return -errno;
	}
	return -ENOSPC;
}

static int fill_slot(const struct gate_fds *fds, uint64_t key, uint32_t slot)
{
	struct gate_spent *none = gates_scratch();
	const struct gate closed = {.key = key};
	int ret = 0;

	if (!none)
		return -ENOMEM;
	if (bpf_map_update_elem(fds->spent, &slot, none, BPF_ANY) ||
	    bpf_map_update_elem(fds->gates, &slot, &closed, BPF_ANY) ||
	    bpf_map_update_elem(fds->slots, &key, &slot, BPF_ANY))
		ret = -errno;
	free(none);
	return ret;
}

int gates_make(const struct gate_fds *fds, pid_t pid, uint32_t stream)
{
	uint64_t key = GATE_KEY(pid, stream);
	uint32_t slot;
	int ret = 0;

	if (bpf_map_lookup_elem(fds->slots, &key, &slot))
		ret = take_slot(fds, key, &slot);
	if (ret)
		return ret;
	ret = fill_slot(fds, key, slot);
	if (ret)
		bpf_map_delete_elem(fds->taken, &slot);
	return ret;
}

void gates_drop(const struct gate_fds *fds, pid_t pid, uint32_t stream)
{
	const struct gate nobodys = {.key = 0};
	uint64_t key = GATE_KEY(pid, stream);
	uint32_t slot;

	if (bpf_map_lookup_elem(fds->slots, &key, &slot))
		return;
	bpf_map_delete_elem(fds->slots, &key);
	bpf_map_update_elem(fds->gates, &slot, &nobodys, BPF_ANY);
	bpf_map_delete_elem(fds->taken, &slot);
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
		[CELL_ARG_GATE] = GATE_KEY(pid, cell->head.func),
		[CELL_ARG_STATE] = (uint64_t)cell->by_share << 32 | cell->state,
		[CELL_ARG_NUMBER] = cell->number,
		[CELL_ARG_CHANCE] = cell->chance,
		[CELL_ARG_SAMPLE] = cell->sample_bytes,
		[CELL_ARG_FREE_SAMPLE] = cell->free_sample_bytes,
		[CELL_ARG_PROGRESS] = cell->progress,
		[CELL_ARG_ERROR] = cell->progress_error,
		[CELL_ARG_CPU] = cell->cpu,
		[CELL_ARG_HITS] = cell->hits,
		[CELL_ARG_SHARE] = (uint64_t)cell->share_error << 32 | cell->share,
		[CELL_ARG_QUOTA] = quota,
	};
	uint32_t result;
	int ret = run(fds, args, &result);

	return ret ? ret : result ? -EAGAIN : 0;
}

bool gates_go_on(const struct gate_fds *fds, pid_t pid, uint32_t stream, uint64_t quota)
{
	const uint64_t args[CELL_ARG_CNT] = {
		[CELL_ARG_GATE] = GATE_KEY(pid, stream),
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

static void add(struct gate_sum *sum, const struct gate_spent *spent)
{
	sum->entries += spent->entries;
	sum->returns += spent->returns;
	sum->stepped += spent->stepped;
	sum->stacks += spent->stacks;
	sum->program_ns += spent->program_ns;
	sum->stack_ns += spent->stack_ns;
	sum->user_ns += spent->user_ns;
	sum->system_ns += spent->system_ns;
	sum->user_looks += spent->user_looks;
	sum->system_looks += spent->system_looks;
	for (int i = 0; i < MILESTONES_MAX; i++)
		sum->passes[i] += spent->passes[i];
	sum->objects.taken += spent->taken;
	sum->objects.taken_bytes += spent->taken_bytes;
	sum->objects.given += spent->given;
	sum->objects.given_bytes += spent->given_bytes;
	sum->objects.odd += spent->odd;
}

struct gate_spent *gates_scratch(void)
{
	int cpu_cnt = libbpf_num_possible_cpus();

	return cpu_cnt > 0 ? calloc((size_t)cpu_cnt, sizeof(struct gate_spent)) : NULL;
}

bool gates_spent(const struct gate_fds *fds, pid_t pid, uint32_t stream, struct gate_spent *scratch,
		 struct gate_sum *sum)
{
	struct gate_spent *per_cpu = scratch ?: gates_scratch();
	uint64_t key = GATE_KEY(pid, stream);
	uint32_t slot;
	bool found = per_cpu && !bpf_map_lookup_elem(fds->slots, &key, &slot) &&
		     !bpf_map_lookup_elem(fds->spent, &slot, per_cpu);

	*sum = (struct gate_sum){0};
	for (int cpu = 0; found && cpu < libbpf_num_possible_cpus(); cpu++)
		add(sum, &per_cpu[cpu]);
	if (!scratch)
		free(per_cpu);
	return found;
}
