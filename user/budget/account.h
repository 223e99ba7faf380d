/*
 * What was spent of a budget: sums over the last 5 s and since the beginning, in ns of CPU time.
 * Pure; times are CLOCK_MONOTONIC ns and do not go back.
 */
#ifndef ALLOCTRACE_BUDGET_ACCOUNT_H
#define ALLOCTRACE_BUDGET_ACCOUNT_H

#include <stdint.h>

#define ACCOUNT_BUCKET_NS 100000000ULL
#define ACCOUNT_BUCKETS 50 /* PACE_SPAN_NS of them */

struct spent {
	double cpu;    /* that the process used, probes included */
	double probe;  /* that probes took of it */
	double stack;  /* … for stacks */
	double own;    /* that it had for itself */
	double own_on; /* … while probes were on, but for cells told by their share of CPU time: */
	double shared; /* theirs, all of it; */
	double guessed; /* … and own time of it, as it was taken to be then */
	double ours;   /* that we used ourselves for it */
	double wall;
};

struct account {
	struct spent buckets[ACCOUNT_BUCKETS];
	uint64_t numbers[ACCOUNT_BUCKETS]; /* of the bucket there: time / ACCOUNT_BUCKET_NS */
	struct spent total;
};

/* Of a clock or a counter; readings of several threads may overtake each other. */
static inline uint64_t account_since(uint64_t now, uint64_t then)
{
	return now > then ? now - then : 0;
}

/* Books what was spent in the time that has ended at time_ns. */
void account_add(struct account *account, uint64_t time_ns, const struct spent *spent);
/* The sum of the last span_ns, to whole buckets; at most 5 s. */
struct spent account_last(const struct account *account, uint64_t time_ns, uint64_t span_ns);

#endif
