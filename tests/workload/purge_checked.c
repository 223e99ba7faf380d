/*
 * Eight threads that are never idle for long, each blocked in another way and checking all that a
 * purge from outside could spoil: what they allocated, errno, EINTR and short results, their
 * vector registers across a wait, their signal mask. Half of them keep getting a signal, with
 * SA_RESTART, and all of them make free memory.
 *
 *   purge_checked
 *
 * Prints {"pid": N}, and on each line of input one of JSON: rounds of all threads since the start
 * (none may stand still), mistakes, the last one in words.
 */
#include <errno.h>
#include <immintrin.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define THREADS 8
#define BLOCKS 512 /* live, a thread */
#define BLOCK_MAX 4000

static atomic_ulong rounds[THREADS];
static pthread_t threads[THREADS];
static atomic_bool ready[THREADS];
static atomic_ulong mistakes, handled;
static char last[160];

static void mistake(int thread, const char *what, long value)
{
	char text[160];

	snprintf(text, sizeof(text), "thread %d: %s: %ld (%s)", thread, what, value, strerror(errno));
	memcpy(last, text, sizeof(last));
	mistakes++;
}

static void on_signal(int signal)
{
	(void)signal;
	handled++;
}

/* Blocks with a pattern of their own, some of them replaced each round. */
struct heap {
	unsigned char *block[BLOCKS];
	uint32_t size[BLOCKS], random;
};

static uint32_t next(struct heap *h)
{
	h->random = h->random * 1664525u + 1013904223u;
	return h->random >> 8;
}

static unsigned char pattern(const struct heap *h, unsigned i)
{
	return (unsigned char)(h->size[i] * 31 + i);
}

static void churn(struct heap *h, int thread)
{
	for (int n = 0; n < 20; n++) {
		unsigned i = next(h) % BLOCKS;

		for (uint32_t b = 0; h->block[i] && b < h->size[i]; b++) {
			if (h->block[i][b] != pattern(h, i)) {
				mistake(thread, "a block has changed", (long)b);
				break;
			}
		}
		free(h->block[i]);
		h->size[i] = next(h) % BLOCK_MAX + 1;
		h->block[i] = malloc(h->size[i]);
		memset(h->block[i], pattern(h, i), h->size[i]);
	}
	/* and what a purge can have */
	for (int n = 0; n < 4; n++) {
		void *large = malloc(90000), *pin = malloc(24);

		memset(large, 1, 90000);
		free(large);
		free(pin);
	}
}

/* One thread's way of waiting: 0 when what it waited for came as it should. */
typedef long wait_fn(int thread);

static int pipes[THREADS][2], events, epoll, listener;
static struct sockaddr_in address;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turn = PTHREAD_COND_INITIALIZER;
static unsigned turns, taken;

static long wait_pipe(int thread)
{
	char byte;

	return read(pipes[thread][0], &byte, 1) != 1;
}

static long wait_event(int thread)
{
	uint64_t count;

	(void)thread;
	return read(events, &count, sizeof(count)) != sizeof(count);
}

static long wait_condition(int thread)
{
	(void)thread;
	pthread_mutex_lock(&lock);
	while (taken == turns)
		pthread_cond_wait(&turn, &lock);
	taken++;
	pthread_mutex_unlock(&lock);
	return 0;
}

static long wait_select(int thread)
{
	struct timeval limit = {.tv_usec = 20000};
	fd_set set;
	char byte;
	int cnt;

	FD_ZERO(&set);
	FD_SET(pipes[thread][0], &set);
	cnt = select(pipes[thread][0] + 1, &set, NULL, NULL, &limit);
	return cnt < 0 || (cnt == 1 && read(pipes[thread][0], &byte, 1) != 1);
}

static long wait_epoll(int thread)
{
	struct epoll_event event;
	char byte;
	int cnt = epoll_wait(epoll, &event, 1, 20);

	return cnt < 0 || (cnt == 1 && read(pipes[thread][0], &byte, 1) != 1);
}

static long wait_accept(int thread)
{
	int fd = accept(listener, NULL, NULL);

	(void)thread;
	return fd < 0 || close(fd);
}

static long wait_time(int thread)
{
	struct timespec until;

	(void)thread;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += 3000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	return clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

/* Those whose waits go on after a handler. */
static bool takes_signals(int thread);

/* Gives the others what they wait for, and does not wait itself. */
static long wake_others(int thread)
{
	const uint64_t one = 1;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	long bad = fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) || close(fd);

	(void)thread;
	for (int i = 0; i < THREADS; i++) {
		bad |= pipes[i][1] && write(pipes[i][1], "x", 1) != 1;
		if (takes_signals(i) && ready[i])
			pthread_kill(threads[i], SIGUSR1);
	}
	bad |= write(events, &one, sizeof(one)) != sizeof(one);
	pthread_mutex_lock(&lock);
	turns += turns == taken;
	pthread_cond_signal(&turn);
	pthread_mutex_unlock(&lock);
	usleep(200);
	return bad;
}

static wait_fn *const waits[THREADS] = {wait_pipe,  wait_event,  wait_condition, wait_select,
					wait_epoll, wait_accept, wait_time,      wake_others};

static bool takes_signals(int thread)
{
	return waits[thread] == wait_pipe || waits[thread] == wait_event || waits[thread] == wait_condition ||
	       waits[thread] == wait_accept;
}

/* Registers that calls may change are only asked for around the system call itself. */
__attribute__((noinline)) static bool keeps_vectors(bool signals)
{
	const __m128i before = _mm_set_epi64x(0x0123456789abcdef, -2);
	struct timespec until;
	__m128i after;
	long result;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec = until.tv_nsec < 998000000 ? until.tv_nsec + 1500000 : until.tv_nsec;
	__asm__ volatile("movdqa %[before], %%xmm15\n\t"
			 "xorl %%r10d, %%r10d\n\tsyscall\n\tmovdqa %%xmm15, %[after]"
			 : "=a"(result), [after] "=m"(after)
			 : "a"(230L), "D"((long)CLOCK_MONOTONIC), "S"((long)TIMER_ABSTIME),
			   "d"(&until), [before] "m"(before)
			 : "rcx", "r11", "r10", "xmm15", "memory");
	return (result == 0 || (signals && result == -EINTR)) &&
	       _mm_movemask_epi8(_mm_cmpeq_epi8(before, after)) == 0xffff;
}

static void *run(void *arg)
{
	int thread = (int)(long)arg;
	struct heap *h = calloc(1, sizeof(*h));
	sigset_t mask, now;

	h->random = (uint32_t)thread + 1;
	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR2);
	ready[thread] = true;
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	for (;;) {
		churn(h, thread);
		errno = EXDEV;
		if (waits[thread](thread))
			mistake(thread, "a wait failed", errno);
		else if (errno != EXDEV)
			mistake(thread, "errno has changed", errno);
		if (thread != THREADS - 1 && !keeps_vectors(takes_signals(thread)))
			mistake(thread, "a vector register has changed", 0);
		pthread_sigmask(SIG_BLOCK, NULL, &now);
		if (!sigismember(&now, SIGUSR2) || sigismember(&now, SIGUSR1) || sigismember(&now, SIGURG))
			mistake(thread, "the signal mask has changed", 0);
		rounds[thread]++;
	}
	return NULL;
}

static void set_up(void)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	socklen_t len = sizeof(address);
	struct epoll_event event = {.events = EPOLLIN};

	sigaction(SIGUSR1, &action, NULL);
	for (int i = 0; i < THREADS; i++) {
		if ((waits[i] == wait_pipe || waits[i] == wait_select || waits[i] == wait_epoll) &&
		    pipe(pipes[i]))
			exit(1);
		if (waits[i] != wait_epoll)
			continue;
		epoll = epoll_create1(0);
		epoll_ctl(epoll, EPOLL_CTL_ADD, pipes[i][0], &event);
	}
	events = eventfd(0, EFD_SEMAPHORE);
	listener = socket(AF_INET, SOCK_STREAM, 0);
	address.sin_family = AF_INET;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) || listen(listener, 64) ||
	    getsockname(listener, (struct sockaddr *)&address, &len))
		exit(1);
}

int main(void)
{
	char line[64];

	setvbuf(stdout, NULL, _IOLBF, 0);
	set_up();
	for (long i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, run, (void *)i);
	printf("{\"pid\": %d}\n", getpid());
	while (fgets(line, sizeof(line), stdin)) {
		printf("{\"rounds\": [");
		for (int i = 0; i < THREADS; i++)
			printf("%s%lu", i ? ", " : "", (unsigned long)rounds[i]);
		printf("], \"handled\": %lu, \"mistakes\": %lu, \"last\": \"%s\"}\n", (unsigned long)handled,
		       (unsigned long)mistakes, last);
	}
	return 0;
}
