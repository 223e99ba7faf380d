/*
 * A child that waits in each of the system calls in turn: what is said of it, and for those that
 * are said to be begun anew, that a stop leaves no trace on this kernel.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/units.h"
#include "target/remote_call.h"
#include "target/tracee.h"
#include "target/wait_call.h"

/* Shared with the child. */
static struct shared {
	atomic_int futex, ended;
	atomic_long result, error;
} * shared;

/* Made before the fork: both sides have them. */
static int pipes[2], pair[2], events, timer, listener, udp;
static struct sockaddr_un address = {.sun_family = AF_UNIX};

static long read_pipe(void)
{
	char byte;

	return read(pipes[0], &byte, 1) - 1;
}

static long read_pair(void)
{
	char byte;

	return read(pair[0], &byte, 1) - 1;
}

static long read_event(void)
{
	uint64_t count;

	return read(events, &count, sizeof(count)) - 8;
}

static long read_timer(void)
{
	uint64_t count;

	return read(timer, &count, sizeof(count)) - 8;
}

static long receive(void)
{
	char byte;

	return recv(pair[0], &byte, 1, 0) - 1;
}

static long receive_message(void)
{
	char byte;
	struct iovec io = {&byte, 1};
	struct msghdr message = {.msg_iov = &io, .msg_iovlen = 1};

	return recvmsg(pair[0], &message, 0) - 1;
}

static long receive_all(void)
{
	char bytes[2];

	return recv(pair[0], bytes, 2, MSG_WAITALL);
}

static long receive_for_a_while(void)
{
	struct timeval limit = {.tv_sec = 60};
	char byte;

	setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	return recv(pair[0], &byte, 1, 0);
}

static long receive_udp(void)
{
	char byte;

	return recv(udp, &byte, 1, 0);
}

static long accept_one(void)
{
	int fd = accept(listener, NULL, NULL);

	return fd < 0 ? fd : close(fd);
}

/* The word may have changed before it is looked at anew. */
static long wait_futex(void)
{
	return syscall(SYS_futex, &shared->futex, FUTEX_WAIT, 0, NULL) && errno != EAGAIN ? -1 : 0;
}

static long wait_futex_for_a_while(void)
{
	struct timespec limit = {.tv_sec = 60};

	return syscall(SYS_futex, &shared->futex, FUTEX_WAIT, 0, &limit);
}

static long wait_child(void)
{
	pid_t pid = fork();
	char byte;

	if (pid == 0)
		_exit(read(pipes[0], &byte, 1) == 1 ? 0 : 1);
	return waitpid(pid, NULL, 0) == pid ? 0 : -1;
}

static long select_forever(void)
{
	fd_set set;

	FD_ZERO(&set);
	FD_SET(pipes[0], &set);
	return select(pipes[0] + 1, &set, NULL, NULL, NULL) - 1;
}

static long select_for_a_while(void)
{
	struct timeval limit = {.tv_sec = 60};
	fd_set set;

	FD_ZERO(&set);
	FD_SET(pipes[0], &set);
	return select(pipes[0] + 1, &set, NULL, NULL, &limit) - 1;
}

static long select_with_mask(void)
{
	sigset_t mask;
	fd_set set;

	sigemptyset(&mask);
	FD_ZERO(&set);
	FD_SET(pipes[0], &set);
	return pselect(pipes[0] + 1, &set, NULL, NULL, NULL, &mask);
}

static long ppoll_for_a_while(void)
{
	struct timespec limit = {.tv_sec = 60};
	struct pollfd fd = {.fd = pipes[0], .events = POLLIN};

	return ppoll(&fd, 1, &limit, NULL) - 1;
}

static long poll_forever(void)
{
	struct pollfd fd = {.fd = pipes[0], .events = POLLIN};

	return syscall(SYS_poll, &fd, 1, -1);
}

static long sleep_until(void)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += 300000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	return clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

static long sleep_for_a_while(void)
{
	struct timespec length = {.tv_sec = 60};

	return clock_nanosleep(CLOCK_MONOTONIC, 0, &length, NULL);
}

static long wait_epoll(void)
{
	struct epoll_event event = {.events = EPOLLIN};
	int fd = epoll_create1(0);

	epoll_ctl(fd, EPOLL_CTL_ADD, pipes[0], &event);
	return epoll_wait(fd, &event, 1, -1) - 1;
}

static long wait_signal(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return syscall(SYS_rt_sigtimedwait, &set, NULL, NULL, 8) - SIGUSR1;
}

static long suspend(void)
{
	sigset_t set;

	sigemptyset(&set);
	return sigsuspend(&set);
}

static long write_much(void)
{
	static char bytes[1 << 20];

	return write(pipes[1], bytes, sizeof(bytes));
}

static long read_signal(void)
{
	struct signalfd_siginfo info;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return read(signalfd(-1, &set, 0), &info, sizeof(info)) - (long)sizeof(info);
}

static void wake_by_pipe(pid_t pid)
{
	(void)pid;
	assert_int_equal(write(pipes[1], "x", 1), 1);
}

static void wake_by_pair(pid_t pid)
{
	(void)pid;
	assert_int_equal(write(pair[1], "x", 1), 1);
}

static void wake_by_event(pid_t pid)
{
	const uint64_t one = 1;

	(void)pid;
	assert_int_equal(write(events, &one, sizeof(one)), sizeof(one));
}

static void wake_by_timer(pid_t pid)
{
	const struct itimerspec soon = {.it_value.tv_nsec = 1};

	(void)pid;
	timerfd_settime(timer, 0, &soon, NULL);
}

static void wake_by_connecting(pid_t pid)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)pid;
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
}

static void wake_futex(pid_t pid)
{
	(void)pid;
	shared->futex = 1;
	syscall(SYS_futex, &shared->futex, FUTEX_WAKE, 1, NULL);
}

static void wake_by_signal(pid_t pid)
{
	kill(pid, SIGUSR1);
}

static void wake_by_itself(pid_t pid)
{
	(void)pid;
}

/* A wait, how it is said to be refused (NULL: begun anew), and how it ends well. */
static const struct wait {
	const char *name;
	long (*run)(void);
	const char *refused;
	void (*wake)(pid_t pid);
} waits[] = {
	{"read", read_pipe, NULL, wake_by_pipe},
	{"read", read_pair, NULL, wake_by_pair},
	{"read", read_event, NULL, wake_by_event},
	{"read", read_timer, NULL, wake_by_timer},
	{"recvfrom", receive, NULL, wake_by_pair},
	{"recvmsg", receive_message, NULL, wake_by_pair},
	{"accept", accept_one, NULL, wake_by_connecting},
	{"futex", wait_futex, NULL, wake_futex},
	{"wait4", wait_child, NULL, wake_by_pipe},
	{"pselect6", select_forever, NULL, wake_by_pipe},
	{"pselect6", select_for_a_while, NULL, wake_by_pipe},
	{"ppoll", ppoll_for_a_while, NULL, wake_by_pipe},
	{"clock_nanosleep", sleep_until, NULL, wake_by_itself},
	{"recvfrom", receive_udp, NULL, NULL},
	{"recvfrom", receive_all, "part", NULL},
	{"recvfrom", receive_for_a_while, "EINTR", NULL},
	{"futex", wait_futex_for_a_while, "counts", NULL},
	{"pselect6", select_with_mask, "signal", NULL},
	{"poll", poll_forever, "counts", NULL},
	{"clock_nanosleep", sleep_for_a_while, "counts", NULL},
	{"epoll_wait", wait_epoll, "EINTR", wake_by_pipe},
	{"rt_sigtimedwait", wait_signal, "EINTR", wake_by_signal},
	{"rt_sigsuspend", suspend, "signal", NULL},
	{"write", write_much, "part", NULL},
	{"read", read_signal, "not known", wake_by_signal},
};

static void open_all(void)
{
	const struct sockaddr_in any = {.sin_family = AF_INET};

	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	events = eventfd(0, 0);
	timer = timerfd_create(CLOCK_MONOTONIC, 0);
	listener = socket(AF_UNIX, SOCK_STREAM, 0);
	udp = socket(AF_INET, SOCK_DGRAM, 0);
	assert_int_equal(bind(udp, (const struct sockaddr *)&any, sizeof(any)), 0);
	snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "alloctrace-wait-%d", getpid());
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listener, 1), 0);
}

static void close_all(void)
{
	const int fds[] = {pipes[0], pipes[1], pair[0], pair[1], events, timer, listener, udp};

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		close(fds[i]);
}

static pid_t start(const struct wait *w)
{
	pid_t pid;

	memset(shared, 0, sizeof(*shared));
	open_all();
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		shared->result = w->run();
		shared->error = errno;
		shared->ended = 1;
		pause();
	}
	return pid;
}

/* Not that it is still held by the stop before, out of which it has yet to begin its call anew. */
static bool is_asleep(pid_t pid)
{
	char path[64], state = '?';
	FILE *stat;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	stat = fopen(path, "re");
	assert_non_null(stat);
	assert_int_equal(fscanf(stat, "%*d (%*[^)]) %c", &state), 1);
	fclose(stat);
	return state == 'S';
}

/* Until it is blocked there. */
static void await(pid_t pid, const struct wait *w, struct wait_call *call)
{
	uint64_t end = clock_monotonic_ns() + 10 * NSEC_PER_SEC;
	char name[WAIT_NAME_MAX] = "";
	bool asleep;

	do {
		asleep = is_asleep(pid);
		assert_int_equal(wait_call_read(pid, pid, call), 0);
		assert_true(clock_monotonic_ns() < end);
	} while (!asleep || strcmp(wait_call_name(call->number, name), w->name));
}

/* Stopped and let go; a call that ends with EINTR at a stop is made to be begun anew. */
static void stop_and_go(pid_t pid, const struct wait_call *call, bool restarts)
{
	struct user_regs_struct regs;
	struct tracee t;

	assert_int_equal(tracee_seize(&t, pid), 0);
	assert_int_equal(tracee_interrupt(&t), 0);
	assert_int_equal(tracee_wait(&t, 0), 0);
	assert_int_equal(t.stop, TRACEE_INTERRUPTED);
	assert_int_equal(tracee_registers(&t, &regs), 0);
	assert_int_equal(regs.orig_rax, call->number);
	assert_int_equal(regs.rsp, call->sp);
	assert_int_equal(regs.rip, call->pc);
	assert_true(remote_call_restarts(&regs) || (!restarts && (long)regs.rax == -EINTR));
	if (!remote_call_restarts(&regs)) {
		regs.rax = (unsigned long long)-514;
		assert_int_equal(tracee_set_registers(&t, &regs), 0);
	}
	tracee_release(&t, 0);
}

static void what_is_said_of_a_wait_is_so(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
		const struct wait *w = &waits[i];
		pid_t pid = start(w);
		int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
		struct wait_call call;
		struct maps maps;
		const char *refused;

		await(pid, w, &call);
		assert_int_equal(maps_read(pid, &maps, NULL), 0);
		refused = wait_call_refused(pid, pidfd, &maps, &call);
		print_message("%s: %s\n", w->name, refused ? refused : "begun anew");
		if (w->refused)
			assert_true(refused && strstr(refused, w->refused));
		else
			assert_null(refused);
		for (int n = 0; n < 3 && (!refused || wait_call_repeatable(call.number)); n++) {
			stop_and_go(pid, &call, !refused);
			await(pid, w, &call);
			assert_int_equal(shared->ended, 0);
		}
		if (w->wake) {
			w->wake(pid);
			while (!shared->ended)
				usleep(100);
			assert_int_equal(shared->result, 0);
		}
		maps_free(&maps);
		close(pidfd);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		close_all();
	}
}

static void sockets_are_not_accepted_unseen(void **state)
{
	const struct wait *w = &waits[4];
	pid_t pid = start(w);
	struct wait_call call;
	struct maps maps = {.cnt = 0};

	(void)state;
	await(pid, w, &call);
	assert_non_null(wait_call_refused(pid, -1, &maps, &call));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close_all();
}

static void what_runs_waits_for_nothing(void **state)
{
	pid_t pid = fork();
	struct wait_call call;

	(void)state;
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			;
	}
	for (int i = 0; i < 50; i++) {
		assert_int_equal(wait_call_read(pid, pid, &call), 0);
		if (i > 10)
			assert_int_equal(call.number, WAIT_RUNS);
		usleep(1000);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_int_equal(wait_call_read(pid, pid, &call), -ESRCH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_said_of_a_wait_is_so),
		cmocka_unit_test(sockets_are_not_accepted_unseen),
		cmocka_unit_test(what_runs_waits_for_nothing),
	};

	tracee_prepare();
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return cmocka_run_group_tests_name("wait call", tests, NULL, NULL);
}
