/*
 * Threads that malloc and free flat out while the live total stays put: each owns a fixed
 * number of slots of fixed sizes and keeps replacing a few of them. What is missing at any
 * moment is at most BATCH blocks a thread.
 *
 *   heap_churn THREADS MEGABYTES    prints pid, live blocks and live bytes once all slots are full,
 *                                   then, at the end of stdin, the replacements made and blocks found broken
 */
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BATCH 16
#define THREAD_MAX 64

struct slot {
	char *ptr;
	uint32_t size;
};

struct churner {
	pthread_t thread;
	struct slot *slots;
	size_t cnt, bytes;
	uint64_t rng, replaced, broken;
};

static struct churner churners[THREAD_MAX];
static pthread_barrier_t filled;
static atomic_bool stop;

static uint64_t rng_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void slot_fill(struct slot *s)
{
	s->ptr = malloc(s->size);
	if (!s->ptr)
		abort();
	memset(s->ptr, 0, s->size);
	memcpy(s->ptr, &s->size, 4);
	memcpy(s->ptr + s->size - 4, &s->size, 4);
}

static void slot_empty(struct churner *c, struct slot *s)
{
	c->broken += memcmp(s->ptr, &s->size, 4) || memcmp(s->ptr + s->size - 4, &s->size, 4);
	free(s->ptr);
}

static void replace_batch(struct churner *c)
{
	size_t first = rng_next(&c->rng) % (c->cnt - BATCH);

	for (size_t i = first; i < first + BATCH; i++)
		slot_empty(c, &c->slots[i]);
	for (size_t i = first + BATCH; i-- > first;)
		slot_fill(&c->slots[i]);
	c->replaced += BATCH;
}

static void *churn(void *arg)
{
	struct churner *c = arg;

	for (size_t i = 0; i < c->cnt; i++)
		slot_fill(&c->slots[i]);
	for (size_t i = 0; i < c->cnt; i++)
		c->bytes += malloc_usable_size(c->slots[i].ptr) + sizeof(size_t);
	pthread_barrier_wait(&filled);
	while (!atomic_load_explicit(&stop, memory_order_relaxed))
		replace_batch(c);
	return NULL;
}

/* Sizes from 16 to 2000 bytes; the slots lie on the main heap, before all the churning. */
static void churner_start(struct churner *c, size_t bytes, unsigned index)
{
	size_t slot_max = bytes / 200;

	c->rng = 88172645463325252u + index * 7919;
	c->slots = calloc(slot_max, sizeof(*c->slots));
	for (size_t held = 0; held < bytes && c->cnt < slot_max; held += c->slots[c->cnt++].size)
		c->slots[c->cnt].size = 16 + rng_next(&c->rng) % (16 << rng_next(&c->rng) % 8);
	if (c->cnt <= BATCH || pthread_create(&c->thread, NULL, churn, c))
		abort();
}

int main(int argc, char **argv)
{
	unsigned thread_cnt = argc == 3 ? atoi(argv[1]) : 0;
	uint64_t blocks = 0, bytes = 0, replaced = 0, broken = 0;
	char byte;

	if (!thread_cnt || thread_cnt > THREAD_MAX)
		return 2;
	pthread_barrier_init(&filled, NULL, thread_cnt + 1);
	for (unsigned i = 0; i < thread_cnt; i++)
		churner_start(&churners[i], (strtoul(argv[2], NULL, 10) << 20) / thread_cnt, i);
	pthread_barrier_wait(&filled);
	for (unsigned i = 0; i < thread_cnt; i++) {
		blocks += churners[i].cnt;
		bytes += churners[i].bytes;
	}
	printf("{\"pid\":%d,\"blocks\":%lu,\"bytes\":%lu}\n", getpid(), blocks, bytes);
	fflush(stdout);
	while (read(0, &byte, 1) > 0)
		;
	atomic_store(&stop, true);
	for (unsigned i = 0; i < thread_cnt; i++) {
		pthread_join(churners[i].thread, NULL);
		replaced += churners[i].replaced;
		broken += churners[i].broken;
	}
	printf("{\"replaced\":%lu,\"broken\":%lu}\n", replaced, broken);
	return broken != 0;
}
