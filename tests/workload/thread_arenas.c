/*
 * Threads that tell where they allocate: each keeps one block, and an arena of its own begins its heap at
 * a multiple of 64 MiB below it (malloc/arena.c), while the main arena's blocks are at the break.
 * thread_arenas N: N threads, every fifth of which never allocates. Prints one line of JSON.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define THREADS_MAX 64

static struct {
	long tid;
	char *block;
} told[THREADS_MAX];
static int ready, cnt;

static void *live(void *arg)
{
	long i = (long)arg;

	told[i].tid = syscall(SYS_gettid);
	told[i].block = i % 5 == 4 ? NULL : malloc(1000);
	__sync_fetch_and_add(&ready, 1);
	pause();
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread;
	char *own = malloc(1000);

	cnt = argc > 1 ? atoi(argv[1]) : 8;
	for (long i = 0; i < cnt && i < THREADS_MAX; i++)
		pthread_create(&thread, NULL, live, (void *)i);
	while (__sync_fetch_and_add(&ready, 0) < cnt)
		usleep(1000);
	printf("{\"pid\": %d, \"threads\": [{\"tid\": %d, \"block\": %lu}", getpid(), getpid(),
	       (unsigned long)own);
	for (int i = 0; i < cnt; i++)
		printf(", {\"tid\": %ld, \"block\": %lu}", told[i].tid, (unsigned long)told[i].block);
	printf("]}\n");
	fflush(stdout);
	getchar();
	return 0;
}
