/*
 * Children of every kind, each of which allocates at once and says what it did: forked by the
 * main thread and by another, forked by a forked one, exec'd after vfork, busy for a while, and gone at once.
 *
 *   fork_truth ROUNDS BLOCKS   ROUNDS children of each kind; "fork_truth leaf BLOCKS" is the exec'd one
 *
 * A line a child on standard output: its kind, PID, allocations, bytes, frees, bytes freed. Ends with 0 if
 * every fork succeeded and every child ended as it should.
 */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BLOCKS_MAX 10000
#define BUSY_NS 300000000LL

static struct {
	unsigned long allocs, bytes, frees, freed;
} did;

static void *blocks[BLOCKS_MAX];

static void *allocate(size_t size)
{
	void *block = did.allocs % 3 ? malloc(size) : calloc(1, size);

	did.allocs++;
	did.bytes += size;
	return block;
}

static void give(void *block, size_t size)
{
	free(block);
	did.frees++;
	did.freed += size;
}

static size_t size_of(size_t i)
{
	return 24 + i % 500;
}

/* Not by stdio, which allocates. */
static void say(const char *kind)
{
	char line[160];
	int len = snprintf(line, sizeof(line), "%s %d %lu %lu %lu %lu\n", kind, getpid(), did.allocs,
			   did.bytes, did.frees, did.freed);

	if (write(STDOUT_FILENO, line, (size_t)len) != len)
		_exit(99);
}

/* Keeps two of three. */
static void fill(size_t cnt)
{
	for (size_t i = 0; i < cnt; i++)
		blocks[i] = allocate(size_of(i));
	for (size_t i = 0; i < cnt; i += 3)
		give(blocks[i], size_of(i));
}

static long long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* Through the moment in which its own probes take over. */
static void busy(size_t cnt)
{
	long long end = now() + BUSY_NS;

	fill(cnt);
	while (now() < end) {
		for (size_t i = 0; i < 100; i++)
			blocks[i] = allocate(size_of(i) + 1000);
		for (size_t i = 0; i < 100; i++)
			give(blocks[i], size_of(i) + 1000);
		blocks[0] = allocate(8);
		blocks[0] = realloc(blocks[0], 4096); /* a free of the old and an allocation of the new */
		did.allocs++, did.bytes += 4096, did.frees++, did.freed += 8;
		give(blocks[0], 4096);
	}
}

static void wait_for(pid_t pid, int status)
{
	int got;

	if (pid < 0 || waitpid(pid, &got, 0) != pid || !WIFEXITED(got) || WEXITSTATUS(got) != status) {
		fprintf(stderr, "child %d: %s\n", pid, pid < 0 ? strerror(errno) : "another end");
		exit(1);
	}
}

static void __attribute__((noreturn)) act(const char *kind, size_t cnt, int status)
{
	memset(&did, 0, sizeof(did));
	if (!strcmp(kind, "busy"))
		busy(cnt);
	else
		fill(cnt);
	say(kind);
	_exit(status);
}

static pid_t child(const char *kind, size_t cnt, int status)
{
	pid_t pid = fork();

	if (pid == 0)
		act(kind, cnt, status);
	return pid;
}

static pid_t parent_of_one(size_t cnt)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	memset(&did, 0, sizeof(did));
	fill(cnt);
	wait_for(child("nested", cnt + 7, 5), 5);
	say("parent");
	_exit(4);
}

static pid_t exec_leaf(const char *cnt)
{
	pid_t pid = vfork();

	if (pid == 0) {
		execl("/proc/self/exe", "fork_truth", "leaf", cnt, (char *)NULL);
		_exit(98);
	}
	return pid;
}

struct order {
	size_t cnt;
	pid_t pid;
};

static void *fork_in_thread(void *arg)
{
	struct order *order = arg;

	order->pid = child("thread", order->cnt, 6);
	return NULL;
}

static pid_t child_of_thread(size_t cnt)
{
	struct order order = {.cnt = cnt};
	pthread_t thread;

	if (pthread_create(&thread, NULL, fork_in_thread, &order))
		return -1;
	pthread_join(thread, NULL);
	return order.pid;
}

int main(int argc, char **argv)
{
	size_t cnt;

	if (argc != 3)
		return 2;
	cnt = (size_t)atol(argv[2]);
	if (cnt < 100 || cnt + 7 > BLOCKS_MAX)
		return 2;
	if (!strcmp(argv[1], "leaf"))
		act("exec", cnt, 7);
	for (long i = 0; i < atol(argv[1]); i++) {
		pid_t busy_one = child("busy", cnt, 2);

		wait_for(child("fork", cnt, 3), 3);
		wait_for(child_of_thread(cnt), 6);
		wait_for(parent_of_one(cnt), 4);
		wait_for(exec_leaf(argv[2]), 7);
		wait_for(busy_one, 2);
	}
	return 0;
}
