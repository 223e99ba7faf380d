#include "command/toll.h"

#include "base/clock.h"
#include "budget/pace.h"

static double grown(uint64_t now, uint64_t then)
{
	return now > then ? (double)(now - then) : 0;
}

void toll_tick(struct toll *t, struct tracer *tracer, const struct process *process)
{
	uint64_t now = clock_monotonic_ns(), cpu, probe, ours;
	struct spent spent;

	if (t->time_ns && now - t->time_ns < ACCOUNT_BUCKET_NS)
		return;
	cpu = clock_process_cpu_ns(process->pid);
	probe = tracer_probe_ns(tracer, process->pid);
	ours = tracer_cpu_ns(tracer);
	if (t->time_ns && cpu) {
		spent = (struct spent){.cpu = grown(cpu, t->cpu_ns), .probe = grown(probe, t->probe_ns)};
		account_add(&t->probes, now, &spent);
		spent.probe = grown(ours, t->our_ns);
		account_add(&t->ours, now, &spent);
	}
	t->time_ns = now;
	t->cpu_ns = cpu;
	t->probe_ns = probe;
	t->our_ns = ours;
}

/* Of a process that used none, nothing was taken. */
static double share(const struct account *account, uint64_t time_ns)
{
	struct spent last = account_last(account, time_ns, PACE_SPAN_NS);

	if (!account->total.cpu && !account->total.probe)
		return account->numbers[(time_ns / ACCOUNT_BUCKET_NS) % ACCOUNT_BUCKETS] ? 0 : -1;
	if (!last.cpu)
		return last.probe ? 1 : 0;
	return last.probe / last.cpu;
}

double toll_probe_share(const struct toll *t)
{
	return t->time_ns ? share(&t->probes, t->time_ns) : -1;
}

double toll_our_share(const struct toll *t)
{
	return t->time_ns ? share(&t->ours, t->time_ns) : -1;
}
