#include "budget/account.h"

static void add(struct spent *sum, const struct spent *more)
{
	sum->cpu += more->cpu;
	sum->probe += more->probe;
	sum->stack += more->stack;
	sum->own += more->own;
	sum->own_on += more->own_on;
	sum->shared += more->shared;
	sum->guessed += more->guessed;
	sum->ours += more->ours;
	sum->wall += more->wall;
}

void account_add(struct account *a, uint64_t time_ns, const struct spent *spent)
{
	uint64_t number = time_ns / ACCOUNT_BUCKET_NS;
	uint64_t at = number % ACCOUNT_BUCKETS;

	if (a->numbers[at] != number) {
		a->numbers[at] = number;
		a->buckets[at] = (struct spent){0};
	}
	add(&a->buckets[at], spent);
	add(&a->total, spent);
}

struct spent account_last(const struct account *a, uint64_t time_ns, uint64_t span_ns)
{
	uint64_t last = time_ns / ACCOUNT_BUCKET_NS, cnt = span_ns / ACCOUNT_BUCKET_NS;
	struct spent sum = {0};

	if (cnt > ACCOUNT_BUCKETS)
		cnt = ACCOUNT_BUCKETS;
	for (uint64_t i = 0; i < ACCOUNT_BUCKETS; i++)
		if (a->numbers[i] <= last && last - a->numbers[i] < cnt)
			add(&sum, &a->buckets[i]);
	return sum;
}
