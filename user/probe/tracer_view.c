#include "probe/tracer.h"

#include <bpf/libbpf.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "probe/python.h"
#include "probe/tracer_state.h"

struct attached *tracer_attached(struct tracer *t, pid_t pid)
{
	if (!t->newest || t->newest_pid != pid) {
		t->newest = map_get(&t->processes, (uint64_t)pid);
		t->newest_pid = pid;
	}
	return t->newest;
}

struct probe_cost tracer_cost(const struct tracer *t)
{
	return t->cost;
}

bool tracer_has_return_probes(const struct tracer *t)
{
	return t->feature.return_probes;
}

const struct traced_function *tracer_function(const struct tracer *t, uint32_t func)
{
	return functions_get(t->functions, func);
}

const struct python *tracer_python(struct tracer *t, pid_t pid)
{
	const struct attached *attached = tracer_attached(t, pid);

	return attached ? attached_python(attached) : NULL;
}

bool tracer_sees_collections(struct tracer *t, pid_t pid)
{
	const struct attached *attached = tracer_attached(t, pid);

	return attached && attached_sees_collections(attached);
}

enum mark_sight tracer_sees_mark(struct tracer *t, pid_t pid, const struct mark_point *point)
{
	const struct attached *attached = tracer_attached(t, pid);

	enum mark_sight sight = MARK_NO_OBJECT;
	const struct traced_function *fn;

	if (attached)
		sight = attached_sees_mark(attached, (size_t)(point - t->options.marks->v));
	for (uint32_t i = 1; sight < MARK_ELSEWHERE && (fn = functions_get(t->functions, i)); i++)
		if (fn->mark == point)
			sight = MARK_ELSEWHERE;
	return sight;
}

uint64_t tracer_mark_hits(const struct tracer *t, pid_t pid, const struct mark_point *point)
{
	const struct traced_function *fn;
	uint64_t hits = 0;

	for (uint32_t i = 1; (fn = functions_get(t->functions, i)); i++)
		if (fn->mark == point)
			hits += programs_mark_hits(t->programs, pid, i);
	return hits;
}

void tracer_losses(const struct tracer *t, uint64_t lost[SOURCE_LOSS_CNT])
{
	programs_losses(t->programs, lost);
	lost[SOURCE_LOSS_MALFORMED] = t->malformed;
	lost[SOURCE_LOSS_PROBES] = t->lost_probes;
	for (size_t i = 0; i < t->processes.cap; i++)
		if (t->processes.slots[i].value)
			lost[SOURCE_LOSS_PROBES] += attached_lost_cnt(t->processes.slots[i].value);
}

size_t tracer_missing(struct tracer *t, pid_t pid, const char **lines, size_t max)
{
	struct attached *attached = tracer_attached(t, pid);
	const struct missing *of[2] = {t->missing, attached ? attached_missing(attached) : NULL};
	size_t cnt = 0;

	for (int i = 0; i < 2; i++) {
		const char *const *v = NULL;
		size_t own = of[i] ? missing_lines(of[i], &v) : 0;

		for (size_t k = 0; k < own && cnt < max; k++)
			lines[cnt++] = v[k];
	}
	return cnt;
}

/*
 * Hits without a record are not told apart by process: those since the last call are charged to the
 * processes by how many recorded ones each has had since then.
 */
static void charge_silent_hits(struct tracer *t)
{
	uint64_t nested, filtered, lost[SOURCE_LOSS_CNT], all = 0, cnt;
	double ns;

	programs_silent_hits(t->programs, &nested, &filtered);
	programs_losses(t->programs, lost);
	for (size_t i = 0; i < t->processes.cap; i++)
		if (t->processes.slots[i].value)
			all += attached_fresh_hits(t->processes.slots[i].value);
	if (!all && t->processes.cnt != 1)
		return;
	cnt = nested + filtered + lost[LOSS_RING_FULL];
	ns = t->cost.entry * (double)(cnt - t->silent_charged);
	t->silent_charged = cnt;
	for (size_t i = 0; i < t->processes.cap; i++)
		if (t->processes.slots[i].value)
			attached_charge(t->processes.slots[i].value, all ? ns / (double)all : 0,
					all ? 0 : ns);
}

uint64_t tracer_probe_ns(struct tracer *t, pid_t pid)
{
	const struct attached *attached = tracer_attached(t, pid);

	if (t->slicer)
		return slicer_probe_ns(t->slicer, pid);
	charge_silent_hits(t);
	return attached ? attached_probe_ns(attached, &t->cost) : 0;
}

bool tracer_sees_objects(struct tracer *t, pid_t pid)
{
	const struct attached *attached = tracer_attached(t, pid);

	return attached && attached_sees_objects(attached);
}

bool tracer_object_counts(struct tracer *t, pid_t pid, struct object_counts *counts)
{
	struct gate_sum sum;
	bool found = gates_spent(&t->context.gates, pid, CELL_OBJECTS, NULL, &sum);

	*counts = sum.objects;
	return found;
}

uint64_t tracer_cpu_ns(const struct tracer *t)
{
	return clock_process_cpu_ns(0) + clock_process_cpu_ns(keeper_pid(t->keeper));
}

void tracer_read_headers(struct tracer *t)
{
	programs_read_headers(t->programs);
}

bool tracer_pace(struct tracer *t, pid_t pid, uint32_t stream, struct pace_view *view)
{
	return t->slicer && slicer_view(t->slicer, pid, stream, view);
}

unsigned tracer_probe_cnt(struct tracer *t, pid_t pid)
{
	const struct attached *attached = tracer_attached(t, pid);

	return attached ? attached_probe_cnt(attached) : 0;
}
