#include "target/wait_call.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif
#define SYSCALL_epoll_pwait2 441  /* 5.11 */
#define STICKY_TIMEOUTS 0x4000000 /* linux/personality.h: select does not write back what is left */

/* What is looked at to judge one call. */
struct context {
	pid_t pid;
	int pidfd;
	const struct maps *maps;
	const uint64_t *arguments;
};

static const char ends_with_eintr[] = "which a stop would end with EINTR";
static const char ends_with_less[] = "which a stop could end with a part of what was asked for";
static const char has_restart_block[] =
	"whose end the kernel counts from its begin: no call can be put in between";
static const char waits_for_signal[] = "which waits for a signal";
static const char not_known[] = "which is not known to be begun anew";

/* Pipes, sockets and the kernel's own counters, by what stat(2) says of the descriptor. */
enum descriptor {
	OTHER,
	PIPE,
	SOCKET,
	COUNTER,
};

static enum descriptor kind_of(const struct context *c)
{
	char path[64], name[64];
	struct stat st;
	ssize_t len;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", c->pid, (int)c->arguments[0]);
	if (stat(path, &st))
		return OTHER;
	if (S_ISFIFO(st.st_mode))
		return PIPE;
	if (S_ISSOCK(st.st_mode))
		return SOCKET;
	len = readlink(path, name, sizeof(name) - 1);
	name[len > 0 ? len : 0] = '\0';
	if (!strcmp(name, "anon_inode:[eventfd]") || !strcmp(name, "anon_inode:[timerfd]") ||
	    !strcmp(name, "anon_inode:inotify"))
		return COUNTER;
	return OTHER;
}

static int option(int fd, int name, int *value)
{
	socklen_t len = sizeof(*value);

	return getsockopt(fd, SOL_SOCKET, name, value, &len);
}

/* Families whose waits all end in sock_intr_errno (include/net/sock.h). */
static bool is_known_socket(int fd)
{
	int family, protocol;

	if (option(fd, SO_DOMAIN, &family) || option(fd, SO_PROTOCOL, &protocol))
		return false;
	if (family == AF_INET || family == AF_INET6)
		return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP;
	return family == AF_UNIX || family == AF_NETLINK;
}

/*
 * sock_intr_errno: EINTR if the socket has a time limit, else begun anew. And one that waits for
 * more than a byte gives what it has. Looked at through a descriptor of our own.
 */
static const char *judge_socket(const struct context *c)
{
	const char *refused = NULL;
	struct timeval limit;
	socklen_t len = sizeof(limit);
	int least, fd = c->pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, c->pidfd, (int)c->arguments[0], 0);

	if (fd < 0)
		return "on a socket that cannot be looked at";
	if (!is_known_socket(fd) || getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, &len) ||
	    option(fd, SO_RCVLOWAT, &least))
		refused = not_known;
	else if (limit.tv_sec || limit.tv_usec)
		refused = ends_with_eintr;
	else if (least > 1)
		refused = ends_with_less;
	close(fd);
	return refused;
}

/* fs/pipe.c pipe_read, fs/eventfd.c, fs/timerfd.c, fs/notify/inotify: ERESTARTSYS, with nothing read yet. */
static const char *judge_read(const struct context *c)
{
	switch (kind_of(c)) {
	case PIPE:
	case COUNTER:
		return NULL;
	case SOCKET:
		return judge_socket(c);
	default:
		return not_known;
	}
}

static const char *judge_recvfrom(const struct context *c)
{
	return c->arguments[3] & MSG_WAITALL ? ends_with_less : judge_socket(c);
}

static const char *judge_recvmsg(const struct context *c)
{
	return c->arguments[2] & MSG_WAITALL ? ends_with_less : judge_socket(c);
}

/* kernel/futex (5.15: futex.c) futex_wait: ERESTARTSYS without a time limit, a restart block with one. */
static const char *judge_futex(const struct context *c)
{
	switch (c->arguments[1] & FUTEX_CMD_MASK) {
	case FUTEX_WAIT:
	case FUTEX_WAIT_BITSET:
		return c->arguments[3] ? has_restart_block : NULL;
	default:
		return not_known;
	}
}

/* kernel/exit.c do_wait: ERESTARTSYS. */
static const char *judge_wait(const struct context *c)
{
	(void)c;
	return NULL;
}

/* hrtimer_nanosleep, kernel/time/hrtimer.c: ERESTARTNOHAND until a time, a restart block for a time. */
static const char *judge_clock_nanosleep(const struct context *c)
{
	switch ((int)c->arguments[0]) {
	case CLOCK_REALTIME:
	case CLOCK_MONOTONIC:
	case CLOCK_BOOTTIME:
	case CLOCK_TAI:
		return c->arguments[1] & TIMER_ABSTIME ? NULL : has_restart_block;
	default:
		return not_known;
	}
}

static bool has_sticky_timeouts(pid_t pid)
{
	unsigned personality = STICKY_TIMEOUTS;
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/personality", pid);
	f = fopen(path, "re");
	if (!f)
		return true;
	if (fscanf(f, "%x", &personality) != 1)
		personality = STICKY_TIMEOUTS;
	fclose(f);
	return personality & STICKY_TIMEOUTS;
}

/*
 * poll_select_finish, fs/select.c: ERESTARTNOHAND, with the time that is left written back; EINTR
 * where it cannot be.
 */
static const char *judge_timeout(const struct context *c, uint64_t timeout)
{
	const struct mapping *m = timeout ? maps_find(c->maps, timeout) : NULL;

	if (!timeout || (m && m->write && !has_sticky_timeouts(c->pid)))
		return NULL;
	return ends_with_eintr;
}

static const char *judge_select(const struct context *c)
{
	return judge_timeout(c, c->arguments[4]);
}

/* With a signal mask of its own, signals matter to it. */
static const char *judge_pselect(const struct context *c)
{
	return c->arguments[5] ? waits_for_signal : judge_timeout(c, c->arguments[4]);
}

static const char *judge_ppoll(const struct context *c)
{
	return c->arguments[3] ? waits_for_signal : judge_timeout(c, c->arguments[2]);
}

/* Either a judge or a verdict. Sources: kernels 5.15 to 6.18; signal(7), "Interruption … by stop signals". */
static const struct row {
	long number;
	const char *name;
	const char *(*judge)(const struct context *c);
	const char *refused;
	bool repeatable;
} rows[] = {
	{SYS_futex, "futex", .judge = judge_futex},
	{SYS_read, "read", .judge = judge_read},
	{SYS_readv, "readv", .judge = judge_read},
	{SYS_recvfrom, "recvfrom", .judge = judge_recvfrom},
	{SYS_recvmsg, "recvmsg", .judge = judge_recvmsg},
	{SYS_accept, "accept", .judge = judge_socket},
	{SYS_accept4, "accept4", .judge = judge_socket},
	{SYS_wait4, "wait4", .judge = judge_wait},
	{SYS_waitid, "waitid", .judge = judge_wait},
	{SYS_clock_nanosleep, "clock_nanosleep", .judge = judge_clock_nanosleep},
	{SYS_select, "select", .judge = judge_select},
	{SYS_pselect6, "pselect6", .judge = judge_pselect},
	{SYS_ppoll, "ppoll", .judge = judge_ppoll},

	{SYS_epoll_wait, "epoll_wait", .refused = ends_with_eintr, .repeatable = true},
	{SYS_epoll_pwait, "epoll_pwait", .refused = ends_with_eintr, .repeatable = true},
	{SYSCALL_epoll_pwait2, "epoll_pwait2", .refused = ends_with_eintr, .repeatable = true},
	{SYS_rt_sigtimedwait, "rt_sigtimedwait", .refused = ends_with_eintr, .repeatable = true},
	{SYS_semop, "semop", .refused = ends_with_eintr, .repeatable = true},
	{SYS_semtimedop, "semtimedop", .refused = ends_with_eintr, .repeatable = true},
	{SYS_io_getevents, "io_getevents", .refused = ends_with_eintr, .repeatable = true},
	{SYS_poll, "poll", .refused = has_restart_block},
	{SYS_nanosleep, "nanosleep", .refused = has_restart_block},
	{SYS_pause, "pause", .refused = waits_for_signal},
	{SYS_rt_sigsuspend, "rt_sigsuspend", .refused = waits_for_signal},
	{SYS_write, "write", .refused = ends_with_less},
	{SYS_writev, "writev", .refused = ends_with_less},
	{SYS_sendto, "sendto", .refused = ends_with_less},
	{SYS_sendmsg, "sendmsg", .refused = ends_with_less},
	{SYS_vfork, "vfork", .refused = "whose child uses the same memory"},
};

static const struct row *find_row(long number)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].number == number)
			return &rows[i];
	return NULL;
}

/* "running", or number, six arguments, stack pointer and pc (Documentation/filesystems/proc.rst). */
int wait_call_read(pid_t pid, pid_t tid, struct wait_call *call)
{
	uint64_t *a = call->arguments;
	char path[64], text[256];
	ssize_t len;
	int fd;

	*call = (struct wait_call){.number = WAIT_RUNS};
	snprintf(path, sizeof(path), "/proc/%d/task/%d/syscall", pid, tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	len = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (len < 0)
		return errno == EPERM ? -EACCES : -errno;
	text[len] = '\0';
	if (sscanf(text,
		   "%ld %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64
		   " %" SCNx64,
		   &call->number, &a[0], &a[1], &a[2], &a[3], &a[4], &a[5], &call->sp, &call->pc) != 9)
		call->number = WAIT_RUNS;
	return 0;
}

bool wait_call_same(const struct wait_call *a, const struct wait_call *b)
{
	return a->number == b->number && a->sp == b->sp && a->pc == b->pc &&
	       !memcmp(a->arguments, b->arguments, sizeof(a->arguments));
}

const char *wait_call_name(long number, char buf[WAIT_NAME_MAX])
{
	const struct row *row = find_row(number);

	if (row)
		return row->name;
	snprintf(buf, WAIT_NAME_MAX, "system call %ld", number);
	return buf;
}

const char *wait_call_refused(pid_t pid, int pidfd, const struct maps *maps, const struct wait_call *call)
{
	const struct context c = {pid, pidfd, maps, call->arguments};
	const struct row *row = find_row(call->number);

	if (!row)
		return not_known;
	return row->judge ? row->judge(&c) : row->refused;
}

bool wait_call_repeatable(long number)
{
	const struct row *row = find_row(number);

	return row && row->repeatable;
}
