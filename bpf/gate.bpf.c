/* Opens and closes gates: see gate.bpf.h. */
#include "gate.bpf.h"

struct gates_map gates SEC(".maps");
struct gates_spent_map gates_spent SEC(".maps");
struct alarms_map alarms SEC(".maps");

const volatile bool is_budgeted = false;

static __always_inline void fill_cell(struct event_cell *cell, const u64 *args)
{
	fill_head(&cell->head, EVENT_CELL, args[CELL_ARG_TGID] << 32, args[CELL_ARG_STREAM],
		  bpf_ktime_get_ns());
	cell->number = args[CELL_ARG_NUMBER];
	cell->chance = args[CELL_ARG_CHANCE];
	cell->sample_bytes = args[CELL_ARG_SAMPLE];
	cell->free_sample_bytes = args[CELL_ARG_FREE_SAMPLE];
	cell->progress = args[CELL_ARG_PROGRESS];
	cell->progress_error = args[CELL_ARG_ERROR];
	cell->state = args[CELL_ARG_STATE];
	cell->pad = 0;
}

/*
 * Run by user space. The record of a BEGIN stands before all that it lets through, that of an END behind
 * all but what is on its way. Without room for it the gate stays closed. Not 0: it is closed, or not there.
 */
SEC("raw_tp")
int cell_mark(struct bpf_raw_tracepoint_args *ctx)
{
	u64 args[CELL_ARG_CNT];
	struct event_cell *cell;
	struct gate *gate;
	u64 key;

#pragma unroll
	for (int i = 0; i < CELL_ARG_CNT; i++)
		args[i] = ctx->args[i];
	key = GATE_KEY(args[CELL_ARG_TGID], args[CELL_ARG_STREAM]);
	gate = bpf_map_lookup_elem(&gates, &key);
	if (!gate)
		return 1;
	if (args[CELL_ARG_STATE] == CELL_GO_ON) {
		gate->limit = gate->hits + args[CELL_ARG_QUOTA];
		return !gate->open;
	}
	if (args[CELL_ARG_STATE] != CELL_BEGIN)
		gate->open = 0;
	cell = ring_reserve(struct event_cell);
	if (!cell)
		return 1;
	fill_cell(cell, args);
	ring_submit(cell, false);
	if (args[CELL_ARG_STATE] != CELL_BEGIN)
		return 0;
	gate->sample_bytes = args[CELL_ARG_SAMPLE];
	gate->free_sample_bytes = args[CELL_ARG_FREE_SAMPLE];
	gate->limit = gate->hits + args[CELL_ARG_QUOTA];
	gate->cell = args[CELL_ARG_NUMBER];
	gate->open = 1;
	return 0;
}
