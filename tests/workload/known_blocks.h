/*
 * What targets that know the truth about their heaps have in common: blocks of sizes that are drawn
 * from a seed and whose contents are known, held by the main thread or by workers.
 *
 * The program that includes this says what a holder does: holder_work(), which is called once a
 * job for every thread that has blocks, on that thread.
 */
#ifndef WORKLOAD_KNOWN_BLOCKS_H
#define WORKLOAD_KNOWN_BLOCKS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define THREAD_MAX 64
#define BLOCK_MAX (8UL << 20)

struct block {
	char *ptr; /* NULL once freed */
	uint32_t size;
	bool checked; /* its contents are as fill_contents left them */
};

/* A thread's blocks, in a mapping of their own: the table must not be on the heap that it describes. */
struct holder {
	pthread_t thread;
	struct block *blocks;
	size_t cnt;
	uint64_t rng;
};

static struct holder holders[THREAD_MAX]; /* [0] is the main thread's */
static unsigned worker_cnt;
static pthread_barrier_t job_start, job_end; /* order the accesses to what the job is */

/* False: this was the thread's last. */
static bool holder_work(struct holder *h);

static uint64_t rng_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void holder_seed(struct holder *h, uint64_t seed)
{
	h->rng = seed * 2654435761u + (uint64_t)(h - holders) * 97 + 88172645463325252u;
}

/* Drawn evenly over the powers of two between min and max. */
static size_t draw_size(uint64_t *rng, size_t min, size_t max)
{
	size_t low = min;

	while (low * 2 <= max && rng_next(rng) % 3)
		low *= 2;
	size_t high = low * 2 < max ? low * 2 : max;
	return low + rng_next(rng) % (high - low + 1);
}

static uint64_t stamp(const struct block *b)
{
	return (uintptr_t)b->ptr * 0x9e3779b97f4a7c15u ^ b->size;
}

static void fill_contents(struct block *b)
{
	uint64_t s = stamp(b);

	memset(b->ptr, 0xa5, b->size);
	if (b->size >= 16) {
		memcpy(b->ptr, &s, 8);
		memcpy(b->ptr + b->size - 8, &s, 8);
	}
	b->checked = true;
}

static bool contents_intact(const struct block *b)
{
	uint64_t s = stamp(b);

	return !b->checked || b->size < 16 ||
	       (!memcmp(b->ptr, &s, 8) && !memcmp(b->ptr + b->size - 8, &s, 8) &&
		(b->size < 32 || b->ptr[b->size / 2] == (char)0xa5));
}

/* Of the blocks of the main thread and of so many others, those whose contents another has written to. */
static uint64_t broken_blocks(unsigned holder_cnt)
{
	uint64_t broken = 0;

	for (unsigned t = 0; t <= holder_cnt; t++)
		for (size_t i = 0; i < holders[t].cnt; i++)
			broken += holders[t].blocks[i].ptr && !contents_intact(&holders[t].blocks[i]);
	return broken;
}

static void holder_init(struct holder *h)
{
	h->blocks = mmap(NULL, BLOCK_MAX * sizeof(*h->blocks), PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (h->blocks == MAP_FAILED)
		abort();
	free(malloc(1000)); /* the thread's arena and cache come with its first block: have them now */
}

static void *worker(void *arg)
{
	struct holder *h = arg;
	bool goes_on = true;

	holder_init(h);
	pthread_barrier_wait(&job_end);
	while (goes_on) {
		pthread_barrier_wait(&job_start);
		goes_on = holder_work(h);
		pthread_barrier_wait(&job_end);
	}
	return NULL;
}

static void start_workers(unsigned cnt)
{
	if (worker_cnt || !cnt || cnt >= THREAD_MAX)
		abort();
	worker_cnt = cnt;
	pthread_barrier_init(&job_start, NULL, cnt + 1);
	pthread_barrier_init(&job_end, NULL, cnt + 1);
	for (unsigned i = 1; i <= cnt; i++)
		if (pthread_create(&holders[i].thread, NULL, worker, &holders[i]))
			abort();
	pthread_barrier_wait(&job_end);
}

/* By the workers, or by the main thread if there are none. */
static void run_job(void)
{
	if (!worker_cnt) {
		holder_work(&holders[0]);
		return;
	}
	pthread_barrier_wait(&job_start);
	pthread_barrier_wait(&job_end);
}

#endif
