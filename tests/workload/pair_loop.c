/*
 * What a malloc and its free cost here: threads that do nothing else, below some frames of
 * stack.
 *
 *   pair_loop [FRAMES]
 *
 * For each line on stdin one answer:
 *
 *   round THREADS MS   the threads' pairs, ns on the clock and ns of CPU, summed
 *   child MS           the same of one thread of a forked child, "first" and "after": two rounds
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BLOCK_SIZE 64
#define BATCH 100 /* pairs between two looks at the clock */
#define DEPTH 10  /* frames, unless the argument says so; with frame pointers: those are what most tools walk */
#define THREAD_MAX 64

struct count {
	uint64_t pairs, wall_ns, cpu_ns;
};

struct looper {
	pthread_t thread;
	uint64_t length_ns;
	struct count count;
};

static pthread_barrier_t ready;
static int depth = DEPTH;

static uint64_t now_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

static void make_pairs(struct looper *l)
{
	uint64_t wall = now_ns(CLOCK_MONOTONIC), cpu = now_ns(CLOCK_THREAD_CPUTIME_ID), pairs = 0;

	while (now_ns(CLOCK_MONOTONIC) - wall < l->length_ns) {
		for (int i = 0; i < BATCH; i++) {
			void *volatile block = malloc(BLOCK_SIZE);

			free(block);
		}
		pairs += BATCH;
	}
	l->count.pairs = pairs;
	l->count.wall_ns = now_ns(CLOCK_MONOTONIC) - wall;
	l->count.cpu_ns = now_ns(CLOCK_THREAD_CPUTIME_ID) - cpu;
}

__attribute__((noinline, optimize("no-omit-frame-pointer"))) static void descend(struct looper *l, int frames)
{
	if (frames)
		descend(l, frames - 1);
	else
		make_pairs(l);
	__asm__ volatile("" ::: "memory"); /* no tail call */
}

static void *loop(void *looper)
{
	pthread_barrier_wait(&ready);
	descend(looper, depth);
	return NULL;
}

static void print_count(const struct count *c)
{
	printf("{\"pairs\":%lu,\"wall_ns\":%lu,\"cpu_ns\":%lu}", c->pairs, c->wall_ns, c->cpu_ns);
}

static void round_of(unsigned thread_cnt, uint64_t length_ns)
{
	static struct looper loopers[THREAD_MAX];
	struct count sum = {0};

	if (!thread_cnt || thread_cnt > THREAD_MAX)
		abort();
	pthread_barrier_init(&ready, NULL, thread_cnt);
	for (unsigned i = 0; i < thread_cnt; i++) {
		loopers[i].length_ns = length_ns;
		if (pthread_create(&loopers[i].thread, NULL, loop, &loopers[i]))
			abort();
	}
	for (unsigned i = 0; i < thread_cnt; i++) {
		pthread_join(loopers[i].thread, NULL);
		sum.pairs += loopers[i].count.pairs;
		sum.wall_ns += loopers[i].count.wall_ns;
		sum.cpu_ns += loopers[i].count.cpu_ns;
	}
	pthread_barrier_destroy(&ready);
	print_count(&sum);
}

/* It prints its two rounds itself: what the parent has buffered is empty. */
static void child_rounds(uint64_t length_ns)
{
	pid_t pid = fork();

	if (pid < 0)
		abort();
	if (!pid) {
		printf("{\"first\":");
		round_of(1, length_ns);
		printf(",\"after\":");
		round_of(1, length_ns);
		printf("}\n");
		exit(0);
	}
	waitpid(pid, NULL, 0);
}

int main(int argc, char **argv)
{
	unsigned long thread_cnt, ms;
	char line[64];

	if (argc > 1)
		depth = atoi(argv[1]);
	printf("{\"pid\":%d}\n", getpid());
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		if (sscanf(line, "round %lu %lu", &thread_cnt, &ms) == 2) {
			round_of((unsigned)thread_cnt, ms * 1000000);
			printf("\n");
			fflush(stdout);
		} else if (sscanf(line, "child %lu", &ms) == 1) {
			child_rounds(ms * 1000000);
		} else {
			return 2;
		}
	}
	return 0;
}
