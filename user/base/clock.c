#include "base/clock.h"

#include <stdbool.h>
#include <time.h>

#include "base/units.h"

uint64_t clock_ns(clockid_t id)
{
	struct timespec t = {.tv_sec = 0};

	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * NSEC_PER_SEC + (uint64_t)t.tv_nsec;
}

uint64_t clock_monotonic_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

uint64_t clock_thread_cpu_ns(void)
{
	return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t clock_process_cpu_ns(pid_t pid)
{
	clockid_t id;

	return clock_getcpuclockid(pid, &id) ? 0 : clock_ns(id);
}

int64_t clock_lead(void)
{
	return (int64_t)(clock_ns(CLOCK_REALTIME) - clock_ns(CLOCK_MONOTONIC));
}

/* All that is printed of one picture is by one lead, however long the printing takes. */
static struct {
	bool is_set;
	int64_t ns;
} lead;

void clock_set_lead(int64_t lead_ns)
{
	lead.is_set = true;
	lead.ns = lead_ns;
}

double clock_epoch(uint64_t monotonic_ns)
{
	/* Unsigned, since a lead out of a damaged recording may be anything. */
	return (double)(int64_t)(monotonic_ns + (uint64_t)(lead.is_set ? lead.ns : clock_lead())) / 1e9;
}
