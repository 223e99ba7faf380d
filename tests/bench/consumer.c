/*
 * How fast records become figures, on one core: decoded and booked into the ledger, out of a
 * buffer as large as the ring. Half of the pairs are temporary blocks, the others replace a
 * live block by one elsewhere; 8 threads, 1000 stacks. What is timed is CPU time, so another
 * process on the core does not count.
 *
 *   consumer    one line of JSON for each number of live blocks, then one for growing to the
 *               last of them and shrinking: most bytes of RSS a block, longest pause
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../bpf/share.h"
#include "base/clock.h"
#include "base/units.h"
#include "heap/ledger.h"
#include "probe/functions.h"

#define BASE 0x555500000000u
#define SLOT_BYTES 96
#define HOLES 4096 /* freed slots that wait to be used again */
#define RECORD_CNT (RING_ALLOC / sizeof(struct event_block))
#define ROUND_CNT 9
#define RUN 32         /* records of one thread in a row */
#define CALLS_TIMED 64 /* at once: their time bounds that of each */
#define WATCH_FROM 100000
#define WATCH_STEP 10000

struct bench {
	struct ledger *ledger;
	struct functions *functions;
	uint32_t malloc, free;
	struct event_block *records;
	size_t record_cnt;
	uint32_t *slots; /* the live ones first, in any order, then the holes */
	uint64_t live_cnt;
	uint64_t rng, written;
};

static uint64_t rng_next(struct bench *b)
{
	b->rng ^= b->rng << 13;
	b->rng ^= b->rng >> 7;
	b->rng ^= b->rng << 17;
	return b->rng;
}

static void say(struct bench *b, uint32_t kind, uint32_t slot, uint64_t stack)
{
	b->records[b->record_cnt++] = (struct event_block){
		.head = {.kind = kind,
			 .tid = 1 + (uint32_t)(b->written / RUN % 8),
			 .tgid = 1,
			 .func = kind == EVENT_ALLOC ? b->malloc : b->free,
			 .time = NSEC_PER_SEC + b->written * 500},
		.addr = BASE + (uint64_t)slot * SLOT_BYTES,
		.size = kind == EVENT_ALLOC ? 16 + slot % 72 : SLOT_BYTES | 1,
		.stack = stack,
	};
	b->written++;
}

/* Of a skewed choice: some sites allocate most. */
static uint64_t any_stack(struct bench *b)
{
	uint64_t r = rng_next(b);

	return 1 + (r & 1 ? r >> 8 & 15 : (r >> 8) % 1000);
}

static void replace(struct bench *b)
{
	uint32_t *gone = &b->slots[rng_next(b) % b->live_cnt];
	uint32_t *hole = &b->slots[b->live_cnt + rng_next(b) % HOLES], slot = *hole;

	say(b, EVENT_FREE, *gone, any_stack(b));
	say(b, EVENT_ALLOC, slot, any_stack(b));
	*hole = *gone;
	*gone = slot;
}

static void make_temporary(struct bench *b)
{
	uint32_t slot = b->slots[b->live_cnt + rng_next(b) % HOLES];
	uint64_t stack = any_stack(b);

	say(b, EVENT_ALLOC, slot, stack);
	say(b, EVENT_FREE, slot, stack);
}

static void book(struct bench *b, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++) {
		const struct traced_function *fn;
		struct event ev;

		if (event_decode(&b->records[i], sizeof(b->records[i]), &ev))
			abort();
		fn = functions_get(b->functions, ev.head->func);
		ledger_event(b->ledger, &ev, ev.block->stack, fn->allocator, fn->on_null);
	}
}

/* Books all, some calls at a time; the longest of these times. */
static uint64_t book_watched(struct bench *b)
{
	uint64_t longest = 0;

	for (size_t i = 0; i < b->record_cnt; i += CALLS_TIMED) {
		uint64_t began = clock_thread_cpu_ns(), took;

		book(b, i, i + CALLS_TIMED < b->record_cnt ? i + CALLS_TIMED : b->record_cnt);
		took = clock_thread_cpu_ns() - began;
		if (took > longest)
			longest = took;
	}
	b->record_cnt = 0;
	return longest;
}

static uint64_t rss(void)
{
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (!f || fscanf(f, "%*u %lu", &pages) != 1)
		abort();
	fclose(f);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void note_longest(uint64_t *longest, uint64_t pause)
{
	if (pause > *longest)
		*longest = pause;
}

/* Allocates up to so many live blocks; the most bytes a block on the way. */
static double grow(struct bench *b, uint64_t live_cnt, uint64_t rss_empty, uint64_t *longest)
{
	double most = 0, bytes;

	while (b->live_cnt < live_cnt) {
		for (unsigned i = 0; i < WATCH_STEP && b->live_cnt < live_cnt; i++)
			say(b, EVENT_ALLOC, b->slots[b->live_cnt++], any_stack(b));
		note_longest(longest, book_watched(b));
		bytes = (double)(rss() - rss_empty) / (double)b->live_cnt;
		if (b->live_cnt >= WATCH_FROM && bytes > most)
			most = bytes;
	}
	return most;
}

static void shrink(struct bench *b, uint64_t *longest)
{
	while (b->live_cnt) {
		for (unsigned i = 0; i < WATCH_STEP && b->live_cnt; i++)
			say(b, EVENT_FREE, b->slots[--b->live_cnt], 1);
		note_longest(longest, book_watched(b));
	}
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double rate(struct bench *b)
{
	double rates[ROUND_CNT];

	for (int round = 0; round < ROUND_CNT; round++) {
		uint64_t began;

		while (b->record_cnt + 4 <= RECORD_CNT) {
			replace(b);
			make_temporary(b);
		}
		began = clock_thread_cpu_ns();
		book(b, 0, b->record_cnt);
		rates[round] = (double)b->record_cnt * NSEC_PER_SEC / (double)(clock_thread_cpu_ns() - began);
		b->record_cnt = 0;
	}
	qsort(rates, ROUND_CNT, sizeof(rates[0]), compare);
	return rates[ROUND_CNT / 2];
}

static void prepare(struct bench *b, uint64_t slot_cnt)
{
	struct traced_function malloc_fn = {
		.symbol = "malloc", .shape = PROBE_ALLOC, .allocator = allocators[0], .object = "libc.so.6"};
	struct traced_function free_fn = malloc_fn;

	free_fn.symbol = "free";
	free_fn.shape = PROBE_FREE;
	b->functions = functions_new();
	b->records = calloc(RECORD_CNT, sizeof(*b->records));
	b->slots = calloc(slot_cnt, sizeof(*b->slots));
	b->ledger = ledger_new(&(struct ledger_options){
		.max_memory = 4 * GIB, .size_max = UINT64_MAX, .began_ns = NSEC_PER_SEC});
	if (!b->functions || !b->records || !b->slots || !b->ledger)
		abort();
	b->malloc = functions_add(b->functions, &malloc_fn);
	b->free = functions_add(b->functions, &free_fn);
	for (uint64_t i = 0; i < slot_cnt; i++)
		b->slots[i] = (uint32_t)i;
	for (size_t i = 0; i < RECORD_CNT; i++)
		b->records[i].head.kind = EVENT_FREE; /* resident from now on */
}

int main(void)
{
	static const uint64_t live[] = {100000, 1000000, 10000000};
	struct bench b = {.rng = 88172645463325252u};
	uint64_t rss_empty, longest = 0;
	double bytes = 0, most;

	prepare(&b, live[2] + HOLES);
	rss_empty = rss();
	for (int i = 0; i < 3; i++) {
		most = grow(&b, live[i], rss_empty, &longest);
		if (most > bytes)
			bytes = most;
		printf("{\"live\":%lu,\"events_per_s\":%.0f}\n", live[i], rate(&b));
		fflush(stdout);
	}
	shrink(&b, &longest);
	if (ledger_totals(b.ledger)->live.cnt || ledger_totals(b.ledger)->freed_before.cnt ||
	    ledger_totals(b.ledger)->untracked.cnt)
		abort();
	printf("{\"bytes_per_block\":%.1f,\"pause_ns\":%lu}\n", bytes, longest);
	ledger_free(b.ledger);
	functions_free(b.functions);
	free(b.records);
	free(b.slots);
	return 0;
}
