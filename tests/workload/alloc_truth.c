/*
 * Allocates and frees through every entry point, from eight threads, and knows exactly what it
 * has done. Between "go" and its answer nothing else in it calls the allocator. Commands on
 * standard input, a line each: go (one round; answers with its counts so far as JSON),
 * exec (becomes itself anew, and says hello again), quit.
 */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 8
#define SLOTS   300
#define ROUNDS  4000

struct count {
	unsigned long allocs, frees, failed;
	unsigned long long allocated, freed;
};

struct slot {
	void *ptr;
	size_t size;
};

static struct worker {
	pthread_t thread;
	unsigned seed;
	struct count count;
	struct slot slots[SLOTS];
	/* From the thread before: blocks to be freed here. */
	_Atomic(void *) mail[64];
	size_t mail_size[64];
} workers[THREADS];

static pthread_barrier_t begin, end;
static atomic_bool over;
static bool no_pvalloc; /* an allocator without one leaves it to the C library, whose blocks it cannot free */

static unsigned draw(struct worker *w, unsigned below)
{
	w->seed = w->seed * 1103515245 + 12345;
	return (w->seed >> 8) % below;
}

static void got(struct worker *w, struct slot *s, void *ptr, size_t size)
{
	if (!ptr) {
		w->count.failed++;
		return;
	}
	w->count.allocs++;
	w->count.allocated += size;
	*s = (struct slot){ptr, size};
}

static void gone(struct worker *w, size_t size)
{
	w->count.frees++;
	w->count.freed += size;
}

static void drop(struct worker *w, struct slot *s)
{
	free(s->ptr);
	if (s->ptr)
		gone(w, s->size);
	*s = (struct slot){NULL, 0};
}

/* To the next thread, which frees it; if its box is full, we do. */
static void send(struct worker *w, struct slot *s)
{
	struct worker *to = &workers[(w - workers + 1) % THREADS];

	for (unsigned i = 0; i < 64; i++) {
		void *none = NULL;

		if (atomic_load(&to->mail[i]) || !s->ptr)
			continue;
		to->mail_size[i] = s->size; /* only this thread writes to an empty box */
		if (atomic_compare_exchange_strong(&to->mail[i], &none, s->ptr)) {
			*s = (struct slot){NULL, 0};
			return;
		}
	}
	drop(w, s);
}

static void receive(struct worker *w)
{
	for (unsigned i = 0; i < 64; i++) {
		void *ptr = atomic_load(&w->mail[i]);
		size_t size = w->mail_size[i];

		if (!ptr)
			continue;
		free(ptr);
		gone(w, size);
		atomic_store(&w->mail[i], NULL);
	}
}

/* A realloc that works is a free and an allocation; one of nothing is an allocation. */
static void regot(struct worker *w, struct slot *s, void *ptr, size_t size)
{
	struct slot old = *s;

	if (ptr) {
		if (old.ptr)
			gone(w, old.size);
		got(w, s, ptr, size);
	} else if (!size && old.ptr) { /* glibc: freed */
		gone(w, old.size);
		*s = (struct slot){NULL, 0};
	} else {
		w->count.failed++;
	}
}

static size_t any_size(struct worker *w)
{
	static const unsigned limits[] = {16, 128, 1024, 9000, 200000};

	return draw(w, limits[draw(w, 5)]) + 1;
}

/* All of them fail, and change nothing. */
static void fail(struct worker *w, struct slot *s)
{
	volatile size_t huge = SIZE_MAX / 2;
	struct slot none = {NULL, 0};
	void *ptr;

	got(w, &none, malloc(huge), 0);
	got(w, &none, calloc(huge, 16), 0);
	regot(w, s, realloc(s->ptr, huge), 1);
	regot(w, s, reallocarray(s->ptr, huge, 16), 1);
	if (posix_memalign(&ptr, 24, 100) == EINVAL)
		w->count.failed++;
}

static void step(struct worker *w)
{
	struct slot *s = &w->slots[draw(w, SLOTS)];
	size_t size = any_size(w);
	unsigned what = draw(w, 22);
	void *ptr;

	if (s->ptr && what < 10) {
		if (what < 6)
			drop(w, s);
		else
			send(w, s);
		return;
	}
	switch (what) {
	case 17:
		regot(w, s, realloc(s->ptr, size), size);
		return;
	case 18:
		regot(w, s, reallocarray(s->ptr, 1 + size / 8, 8), (1 + size / 8) * 8);
		return;
	case 19:
		ptr = realloc(s->ptr, 0); /* of NULL: malloc(0) */
		regot(w, s, ptr, 0);
		return;
	case 20:
		fail(w, s);
		return;
	case 21:
		receive(w);
		return;
	default:
		break;
	}
	drop(w, s); /* of NULL too, often */
	switch (what) {
	case 10:
		got(w, s, calloc(1 + size / 16, 16), (1 + size / 16) * 16);
		break;
	case 11:
		got(w, s, posix_memalign(&ptr, 64, size) ? NULL : ptr, size);
		break;
	case 12:
		size = (size + 63) & ~63UL;
		got(w, s, aligned_alloc(64, size), size);
		break;
	case 13:
		got(w, s, memalign(256, size), size);
		break;
	case 14:
		got(w, s, valloc(size), size);
		break;
	case 15:
		got(w, s, no_pvalloc ? valloc(size) : pvalloc(size), size);
		break;
	default:
		got(w, s, malloc(size), size);
		break;
	}
}

static void *work(void *arg)
{
	struct worker *w = arg;

	for (;;) {
		pthread_barrier_wait(&begin);
		if (atomic_load(&over))
			return NULL;
		for (unsigned i = 0; i < ROUNDS; i++)
			step(w);
		pthread_barrier_wait(&end);
	}
}

/* What a child does is its own. */
static void fork_child(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		for (int i = 0; i < 1000; i++)
			free(malloc(100));
		_exit(malloc(77) == NULL);
	}
	waitpid(pid, NULL, 0);
}

static void answer(void)
{
	struct count sum = {0};
	char line[256];
	int len;

	for (unsigned i = 0; i < THREADS; i++) {
		sum.allocs += workers[i].count.allocs;
		sum.frees += workers[i].count.frees;
		sum.failed += workers[i].count.failed;
		sum.allocated += workers[i].count.allocated;
		sum.freed += workers[i].count.freed;
	}
	len = snprintf(line, sizeof(line),
		       "{\"allocs\": %lu, \"frees\": %lu, \"failed\": %lu, \"allocated\": %llu, \"freed\": %llu}\n",
		       sum.allocs, sum.frees, sum.failed, sum.allocated, sum.freed);
	if (write(STDOUT_FILENO, line, (size_t)len) != len)
		_exit(1);
}

/* Byte by byte, without a buffer that would be allocated. */
static char command(void)
{
	char first = 0, c;

	while (read(STDIN_FILENO, &c, 1) == 1 && c != '\n')
		first = first ? first : c;
	return first;
}

int main(int argc, char **argv)
{
	char hello[32], what;
	int len;

	(void)argc;
	no_pvalloc = getenv("NO_PVALLOC") != NULL;
	pthread_barrier_init(&begin, NULL, THREADS + 1);
	pthread_barrier_init(&end, NULL, THREADS + 1);
	for (unsigned i = 0; i < THREADS; i++) {
		workers[i].seed = 7 * i + 1;
		pthread_create(&workers[i].thread, NULL, work, &workers[i]);
	}
	len = snprintf(hello, sizeof(hello), "{\"pid\": %d}\n", (int)getpid());
	if (write(STDOUT_FILENO, hello, (size_t)len) != len)
		return 1;
	while ((what = command()) == 'g') {
		pthread_barrier_wait(&begin);
		fork_child();
		pthread_barrier_wait(&end);
		answer();
	}
	if (what == 'e')
		execv("/proc/self/exe", argv);
	atomic_store(&over, true);
	pthread_barrier_wait(&begin);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(workers[i].thread, NULL);
	return 0;
}
