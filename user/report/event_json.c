#include "report/event_json.h"

#include "base/clock.h"
#include "report/json_frame.h"
#include "report/json_tree.h"

int report_event_json(FILE *out, const struct event_row *row)
{
	struct json j;

	json_init(&j);
	json_text(&j, j.root, "event", event_row_kinds[row->kind]);
	json_integer(&j, j.root, "time_ns", row->time_ns);
	json_seconds(&j, j.root, "time", clock_epoch(row->time_ns));
	json_integer(&j, j.root, "pid", (uint64_t)row->pid);
	json_integer(&j, j.root, "tid", (uint64_t)row->tid);
	json_text(&j, j.root, "function", row->function);
	json_address(&j, j.root, "addr", row->addr);
	json_integer(&j, j.root, "size", row->size);
	json_signed(&j, j.root, "drop", row->drop);
	json_integer(&j, j.root, "duration_ns", row->duration_ns);
	json_text(&j, j.root, "text", row->text);
	json_stack(&j, j.root, row->stack);
	return json_write(&j, out);
}
