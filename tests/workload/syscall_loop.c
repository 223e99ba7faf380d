/*
 * What a system call costs here: for each line on stdin one round, answered with the ns a
 * call of getppid (the bare entry) and of mmap + touch + munmap through libc.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define GETPPID_CNT 2000000
#define MMAP_CNT 100000

static double now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1e9 + ts.tv_nsec;
}

static double time_getppid(void)
{
	double start = now_ns();

	for (int i = 0; i < GETPPID_CNT; i++)
		syscall(SYS_getppid);
	return (now_ns() - start) / GETPPID_CNT;
}

static double time_mmap(void)
{
	double start = now_ns();

	for (int i = 0; i < MMAP_CNT; i++) {
		char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED)
			abort();
		*p = 1;
		munmap(p, 4096);
	}
	return (now_ns() - start) / MMAP_CNT;
}

int main(void)
{
	char line[16];

	printf("{\"pid\":%d}\n", getpid());
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		printf("{\"getppid\":%.2f,\"mmap\":%.2f}\n", time_getppid(), time_mmap());
		fflush(stdout);
	}
	return 0;
}
