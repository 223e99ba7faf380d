/* At each line of input, threads that allocate, free everything and end, so that glibc flushes their caches. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define THREADS 8
#define BLOCKS 1000

static void *work(void *arg)
{
	void *blocks[BLOCKS];

	for (int i = 0; i < BLOCKS; i++)
		blocks[i] = malloc((size_t)(i % 64) * 16 + 8);
	for (int i = 0; i < BLOCKS; i++)
		free(blocks[i]);
	return arg;
}

int main(void)
{
	pthread_t threads[THREADS];
	char line[16];

	printf("{\"pid\": %d}\n", (int)getpid());
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		for (int i = 0; i < THREADS; i++)
			pthread_create(&threads[i], NULL, work, NULL);
		for (int i = 0; i < THREADS; i++)
			pthread_join(threads[i], NULL);
		printf("{\"blocks\": %d}\n", THREADS * BLOCKS);
		fflush(stdout);
	}
	return 0;
}
