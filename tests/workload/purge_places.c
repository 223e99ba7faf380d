/*
 * Threads that wait in system calls in which they could be stopped, but in places where nothing may
 * be called on them; each is named after its place.
 *
 *   purge_places PLUGIN       a library whose constructor calls wait_in_constructor()
 *
 * Prints {"pid": N} when all of them wait. The main thread waits for SIGUSR1 with sigwaitinfo; then
 * it lets all go on and says how many ended well.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

static int gate[2], full[2];
static atomic_int waiting, ended;
static atomic_bool all_started;
static const char *plugin;

/* Reads the gate: 0 when it was opened. */
static int wait_at_gate(void)
{
	char byte;

	waiting++;
	return read(gate[0], &byte, 1) == 1 ? 0 : -1;
}

static atomic_int results;

static void on_signal(int signal)
{
	(void)signal;
	results += wait_at_gate();
}

static void in_handler(void)
{
	raise(SIGUSR2);
}

int wait_in_constructor(void)
{
	return wait_at_gate();
}

static void in_constructor(void)
{
	results -= dlopen(plugin, RTLD_NOW) == NULL;
}

static ucontext_t outside, inside;

static void coroutine(void)
{
	results += wait_at_gate();
}

static void on_own_stack(void)
{
	getcontext(&inside);
	inside.uc_stack.ss_sp = malloc(256 << 10);
	inside.uc_stack.ss_size = 256 << 10;
	inside.uc_link = &outside;
	makecontext(&inside, coroutine, 0);
	swapcontext(&outside, &inside);
}

static _Thread_local int forks;

static void before_fork(void)
{
	if (forks)
		results += wait_at_gate();
}

static void in_fork(void)
{
	pid_t pid;

	forks = 1;
	pid = fork();
	if (pid == 0)
		_exit(0);
	results -= waitpid(pid, NULL, 0) != pid;
}

/* malloc_stats prints with the arena locked (malloc/malloc.c), and nobody reads what it prints. */
static void holds_arena(void)
{
	while (waiting < 4 || !all_started)
		usleep(1000);
	waiting++;
	malloc_stats();
}

static void in_malloc(void)
{
	while (waiting < 5)
		usleep(1000);
	usleep(20000);
	free(malloc(100));
}

static void *run(void *arg)
{
	static const struct {
		const char *name;
		void (*wait)(void);
	} places[] = {
		{"handler", in_handler}, {"constructor", in_constructor}, {"coroutine", on_own_stack},
		{"fork", in_fork},       {"holder", holds_arena},         {"malloc", in_malloc},
	};
	long i = (long)arg;

	prctl(PR_SET_NAME, places[i].name);
	places[i].wait();
	ended++;
	return NULL;
}

#define PLACES 6

/* stderr becomes a pipe that takes no more. */
static int fill_stderr(void)
{
	char byte = 0;

	if (pipe(full) || fcntl(full[1], F_SETFL, O_NONBLOCK))
		return -1;
	while (write(full[1], &byte, 1) == 1)
		;
	fcntl(full[1], F_SETFL, 0);
	return dup2(full[1], 2);
}

/* Read until all threads have ended. */
static void empty_stderr(void)
{
	char bytes[4096];

	fcntl(full[0], F_SETFL, O_NONBLOCK);
	while (ended < PLACES)
		if (read(full[0], bytes, sizeof(bytes)) <= 0)
			usleep(1000);
}

int main(int argc, char **argv)
{
	static char bytes[4096]; /* what is printed takes no memory */
	pthread_t thread;
	sigset_t set;

	plugin = argc > 1 ? argv[1] : "";
	mallopt(M_ARENA_MAX, 1);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	setvbuf(stdout, bytes, _IOLBF, sizeof(bytes));
	if (pipe(gate) || fill_stderr() < 0)
		return 1;
	sigaction(SIGUSR2, &(struct sigaction){.sa_handler = on_signal, .sa_flags = SA_RESTART}, NULL);
	pthread_atfork(before_fork, NULL, NULL);
	for (long i = 0; i < PLACES; i++)
		pthread_create(&thread, NULL, run, (void *)i);
	all_started = true;
	printf("{\"pid\": %d}\n", getpid());
	if (sigwaitinfo(&set, NULL) != SIGUSR1)
		results--;
	if (write(gate[1], "xxxx", 4) != 4)
		results--;
	empty_stderr();
	printf("{\"ended\": %d, \"results\": %d}\n", ended, results);
	return 0;
}
