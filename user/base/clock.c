#include "base/clock.h"

#include <time.h>

#include "base/units.h"

static uint64_t now(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * NSEC_PER_SEC + (uint64_t)t.tv_nsec;
}

uint64_t clock_monotonic_ns(void)
{
	return now(CLOCK_MONOTONIC);
}

uint64_t clock_thread_cpu_ns(void)
{
	return now(CLOCK_THREAD_CPUTIME_ID);
}

double clock_epoch(uint64_t monotonic_ns)
{
	int64_t offset = (int64_t)(now(CLOCK_REALTIME) - now(CLOCK_MONOTONIC));

	return (double)((int64_t)monotonic_ns + offset) / 1e9;
}
