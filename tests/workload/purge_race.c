/*
 * Purges while other threads fault memory in, and knows how much left RSS because of each.
 * A round frees most of a heap of small blocks and calls malloc_trim(0), while every faulting
 * thread touches fresh pages and counts them. RSS is read outside the purge, so what the
 * purge gave back is known within the pages touched between a reading and the purge: the
 * answer is a lower and an upper bound.
 *
 *   purge_race FAULTING-THREADS
 *
 * One command a line on stdin: "round MEGABYTES"; one line of JSON each on stdout.
 */
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096L
#define REGION (2L << 30) /* a faulting thread's address space: more than it can touch in a round */
#define BLOCK 700L
#define KEEP_EVERY 512    /* a few live blocks keep the heap from being trimmed from its end alone */

static atomic_long touched; /* bytes, by all threads */
static atomic_bool faulting;
static pthread_barrier_t gate; /* passed by all threads when a round's purge begins, and when it is over */

static long rss(void)
{
	long size, pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	if (!f || fscanf(f, "%ld %ld", &size, &pages) != 2)
		exit(1);
	fclose(f);
	return pages * PAGE;
}

static void *fault(void *unused)
{
	char *region = mmap(NULL, REGION, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	(void)unused;
	if (region == MAP_FAILED)
		exit(1);
	madvise(region, REGION, MADV_NOHUGEPAGE);
	for (;;) {
		pthread_barrier_wait(&gate);
		for (long at = 0; faulting && at < REGION; at += PAGE) {
			region[at] = 1;
			atomic_fetch_add(&touched, PAGE);
		}
		madvise(region, REGION, MADV_DONTNEED);
		pthread_barrier_wait(&gate);
	}
	return NULL;
}

/* What is kept is never freed: a few pages a round. */
static void fill_and_free(long bytes)
{
	long cnt = bytes / BLOCK;
	char **blocks = malloc((size_t)cnt * sizeof(*blocks));

	for (long i = 0; i < cnt; i++) {
		blocks[i] = malloc(BLOCK);
		memset(blocks[i], 1, BLOCK);
	}
	for (long i = 0; i < cnt; i++) {
		if (i % KEEP_EVERY)
			free(blocks[i]);
	}
	free(blocks);
}

static void do_round(long bytes)
{
	long before[3], after[3], fell;
	int result;

	fill_and_free(bytes);
	faulting = true;
	pthread_barrier_wait(&gate);
	before[0] = touched;
	before[1] = rss();
	before[2] = touched;
	result = malloc_trim(0);
	after[0] = touched;
	after[1] = rss();
	after[2] = touched;
	faulting = false;
	pthread_barrier_wait(&gate);

	fell = before[1] - after[1];
	printf("{\"result\": %d, \"fell\": %ld, \"least\": %ld, \"most\": %ld}\n", result, fell,
	       fell + after[0] - before[2], fell + after[2] - before[0]);
}

int main(int argc, char **argv)
{
	long threads = argc > 1 ? atol(argv[1]) : 1, megabytes;
	pthread_t thread;

	setvbuf(stdout, NULL, _IOLBF, 0);
	mallopt(M_MMAP_THRESHOLD, 1 << 30); /* the list of blocks too lies in the heap */
	pthread_barrier_init(&gate, NULL, (unsigned)threads + 1);
	for (long i = 0; i < threads; i++) {
		if (pthread_create(&thread, NULL, fault, NULL))
			return 1;
	}
	printf("{\"pid\": %d}\n", getpid());
	while (scanf(" round %ld", &megabytes) == 1)
		do_round(megabytes << 20);
	return 0;
}
