#include "probe/reading.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../bpf/event.h"
#include "base/clock.h"
#include "base/units.h"

#define SYSTEM_TIME_NS NSEC_PER_SEC

/* proc(5): fields 14 and 15 of stat, in clock ticks. */
static void read_system(pid_t pid, uint64_t now, struct system_time *of)
{
	unsigned long long user, system;
	char path[32], line[1024], *from;
	FILE *file;

	if (of->read_ns && now - of->read_ns < SYSTEM_TIME_NS)
		return;
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "re");
	if (!file)
		return;
	from = fgets(line, sizeof(line), file) ? strrchr(line, ')') : NULL;
	if (from &&
	    sscanf(from + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user, &system) == 2) {
		uint64_t tick = NSEC_PER_SEC / (uint64_t)sysconf(_SC_CLK_TCK);

		*of = (struct system_time){
			.read_ns = now, .user_ns = user * tick, .system_ns = system * tick};
	}
	fclose(file);
}

static uint64_t probe_ns(const struct probe_cost *cost, const struct gate_sum *sum)
{
	return sum->program_ns +
	       (uint64_t)(cost->trap * (double)sum->entries + cost->return_trap * (double)sum->returns +
			  cost->stepped * (double)sum->stepped);
}

#define PASS_PROGRAM_NS 150 /* of a milestone, behind its trap */

static uint64_t passes_of(const struct gate_sum *sum)
{
	uint64_t passes = 0;

	for (int i = 0; i < MILESTONES_MAX; i++)
		passes += sum->passes[i];
	return passes;
}

struct pace_reading reading_take(const struct reader *reader, pid_t pid, uint32_t stream,
				 uint64_t before_cpu_ns, struct system_time *system)
{
	struct pace_reading r = {.time_ns = clock_monotonic_ns()};
	uint64_t cpu = clock_process_cpu_ns(pid);
	struct gate_sum sum, others;

	r.cpu_ns = cpu ? cpu + gates_running(&reader->gates, pid) : before_cpu_ns;
	gates_spent(&reader->gates, pid, stream, reader->scratch, &sum);
	gates_spent(&reader->gates, pid, stream == CELL_BLOCKS ? CELL_OBJECTS : CELL_BLOCKS, reader->scratch,
		    &others);
	r.hits = sum.entries;
	r.stack_ns = sum.stack_ns;
	r.probe_ns = probe_ns(reader->cost, &sum);
	r.others_ns = probe_ns(reader->cost, &others);
	r.others_hits = others.entries;
	r.passes = passes_of(stream == CELL_BLOCKS ? &sum : &others);
	r.others_ns += (uint64_t)((reader->cost->trap + PASS_PROGRAM_NS) * (double)r.passes);
	r.user_ns = sum.user_ns;
	r.system_ns = sum.system_ns;
	r.user_look_ns = sum.user_looks * PACE_LOOK_NS;
	r.system_look_ns = sum.system_looks * PACE_LOOK_NS;
	read_system(pid, r.time_ns, system);
	r.all_user_ns = system->user_ns;
	r.all_system_ns = system->system_ns;
	return r;
}
