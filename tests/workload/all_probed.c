/*
 * Calls everything that attach probes, on several threads, and checks every answer and every
 * byte: what a process notices if a probe harms it.
 *
 *   all_probed THREADS     prints {"pid"}, works until the end of stdin, then says how many
 *                          calls it made and how many went wrong
 */
#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREAD_MAX 64
#define BLOCKS 256
#define PAGE 4096UL

struct worker {
	pthread_t thread;
	uint64_t rng, calls, wrong;
	unsigned char *blocks[BLOCKS];
	size_t sizes[BLOCKS];
};

static struct worker workers[THREAD_MAX];
static atomic_bool stop;

static uint64_t rng_next(struct worker *w)
{
	w->rng ^= w->rng << 13;
	w->rng ^= w->rng >> 7;
	w->rng ^= w->rng << 17;
	return w->rng;
}

static void check(struct worker *w, bool right)
{
	w->calls++;
	w->wrong += !right;
}

static bool all_bytes(const unsigned char *p, size_t size, unsigned char value)
{
	for (size_t i = 0; i < size; i++) {
		if (p[i] != value)
			return false;
	}
	return true;
}

static void use_malloc(struct worker *w)
{
	size_t i = rng_next(w) % BLOCKS;

	if (w->blocks[i])
		check(w, all_bytes(w->blocks[i], w->sizes[i], (unsigned char)i));
	free(w->blocks[i]);
	w->sizes[i] = 1 + rng_next(w) % 20000;
	w->blocks[i] = malloc(w->sizes[i]);
	if (w->blocks[i])
		memset(w->blocks[i], (int)i, w->sizes[i]);
	check(w, w->blocks[i] != NULL);
}

static void use_trim(struct worker *w)
{
	int result = malloc_trim(0);

	check(w, result == 0 || result == 1);
}

static void use_mappings(struct worker *w)
{
	unsigned char *p = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned char *q;

	check(w, p != MAP_FAILED);
	if (p == MAP_FAILED)
		return;
	memset(p, 7, 8 * PAGE);
	check(w, madvise(p, PAGE, MADV_DONTNEED) == 0);
	check(w, all_bytes(p, PAGE, 0) && all_bytes(p + PAGE, 7 * PAGE, 7));
	q = mremap(p, 8 * PAGE, 64 * PAGE, MREMAP_MAYMOVE);
	check(w, q != MAP_FAILED && all_bytes(q + PAGE, 7 * PAGE, 7));
	q = mremap(q, 64 * PAGE, 2 * PAGE, 0);
	check(w, q != MAP_FAILED && all_bytes(q + PAGE, PAGE, 7));
	check(w, munmap(q, 2 * PAGE) == 0);
	check(w, munmap((char *)1, PAGE) == -1);
	check(w, sbrk(0) != (void *)-1);
}

static void use_loader(struct worker *w)
{
	void *handle = dlopen("libm.so.6", RTLD_NOW);
	double (*cosine)(double) = NULL;

	check(w, handle != NULL);
	if (!handle)
		return;
	*(void **)&cosine = dlsym(handle, "cos");
	check(w, cosine && cosine(0) == 1);
	check(w, dlclose(handle) == 0);
	check(w, dlopen("libthatdoesnotexist.so.7", RTLD_NOW) == NULL && dlerror() != NULL);
}

static void use_fork(struct worker *w)
{
	pid_t child = fork();
	int status = 0;

	if (child == 0) {
		malloc_trim(0);
		_exit(munmap(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), PAGE) ? 1 : 7);
	}
	check(w, child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

/* How often each is done, of 1000 calls. */
static const struct {
	void (*use)(struct worker *w);
	unsigned often;
} uses[] = { { use_trim, 5 }, { use_mappings, 50 }, { use_loader, 20 }, { use_fork, 1 }, { use_malloc, 1000 } };

static void *work(void *arg)
{
	struct worker *w = arg;

	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		unsigned dice = rng_next(w) % 1000, i = 0;

		while (dice >= uses[i].often)
			dice -= uses[i++].often;
		uses[i].use(w);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	unsigned thread_cnt = argc == 2 ? (unsigned)atoi(argv[1]) : 0;
	uint64_t calls = 0, wrong = 0;
	char byte;

	if (!thread_cnt || thread_cnt > THREAD_MAX)
		return 2;
	for (unsigned i = 0; i < thread_cnt; i++) {
		workers[i].rng = 88172645463325252u + i * 7919;
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]))
			return 1;
	}
	printf("{\"pid\": %d}\n", getpid());
	fflush(stdout);
	while (read(0, &byte, 1) > 0)
		;
	atomic_store(&stop, true);
	for (unsigned i = 0; i < thread_cnt; i++) {
		pthread_join(workers[i].thread, NULL);
		calls += workers[i].calls;
		wrong += workers[i].wrong;
	}
	printf("{\"calls\": %lu, \"wrong\": %lu}\n", calls, wrong);
	return wrong != 0;
}
