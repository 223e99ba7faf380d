#include "probe/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file_limit.h"
#include "probe/urgent.h"

#define FDS_MAX 3

struct keeper {
	pid_t pid;
	int socket;
};

enum message_kind { MESSAGE_OPEN, MESSAGE_CLOSE };

/* What precedes the spots of an OPEN and the links of a CLOSE. */
struct message {
	enum message_kind kind;
	enum link_backend backend;
	enum link_when when;
	pid_t pid;
	size_t cnt;
};

/* To an OPEN. A CLOSE is answered by the end of its pipe. */
struct answer {
	int ret;
	kept_link link;
};

/* Messages and their descriptors: the pipe for the answer, where one is wanted, and an OPEN's program and
 * file. */

static int message_send(int socket, const struct message *message, const void *items, size_t size,
			const int *fds, size_t fd_cnt)
{
	union {
		char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
		struct cmsghdr head;
	} control = {.bytes = {0}};
	struct iovec iov[2] = {{(void *)message, sizeof(*message)}, {(void *)items, size}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};

	if (fd_cnt) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(fd_cnt * sizeof(int));
		control.head = (struct cmsghdr){CMSG_LEN(fd_cnt * sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
		memcpy(CMSG_DATA(&control.head), fds, fd_cnt * sizeof(int));
	}
	return sendmsg(socket, &msg, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* The size of the items, or negative when there is no other end any more. */
static ssize_t message_receive(int socket, struct message *message, void *items, size_t size,
			       int fds[FDS_MAX])
{
	union {
		char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
		struct cmsghdr head;
	} control;
	struct iovec iov[2] = {{message, sizeof(*message)}, {items, size}};
	struct msghdr msg = {
		.msg_iov = iov,
		.msg_iovlen = 2,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t got;

	do
		got = recvmsg(socket, &msg, MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);
	for (size_t i = 0; i < FDS_MAX; i++)
		fds[i] = -1;
	if (got > 0 && msg.msg_controllen >= CMSG_LEN(0) && control.head.cmsg_type == SCM_RIGHTS)
		memcpy(fds, CMSG_DATA(&control.head), control.head.cmsg_len - CMSG_LEN(0));
	return got - (ssize_t)sizeof(*message);
}

/* The keeper's own side: one thread that attaches, and one more for each CLOSE, because those wait long. */

struct kept {
	struct link **links; /* by kept_link − 1; NULL: free */
	size_t cnt;
	pthread_mutex_t lock;
	pthread_cond_t closed;
	unsigned closing_cnt;
};

struct closing {
	struct kept *kept;
	int answer; /* −1: nobody waits */
	size_t cnt;
	struct link *links[];
};

static kept_link kept_add(struct kept *kept, struct link *link)
{
	struct link **links;
	size_t i = 0;

	while (i < kept->cnt && kept->links[i])
		i++;
	if (i == kept->cnt) {
		links = realloc(kept->links, (kept->cnt + 1) * sizeof(struct link *));
		if (!links)
			return 0;
		kept->links = links;
		kept->cnt++;
	}
	kept->links[i] = link;
	return i + 1;
}

static struct link *kept_take(struct kept *kept, kept_link id)
{
	struct link *link = id && id <= kept->cnt ? kept->links[id - 1] : NULL;

	if (link)
		kept->links[id - 1] = NULL;
	return link;
}

static void serve_open(struct kept *kept, const struct message *message, const struct link_spot *spots,
		       const int fds[FDS_MAX])
{
	char path[32];
	struct link_request request = {
		.backend = message->backend,
		.when = message->when,
		.prog_fd = fds[1],
		.path = path,
		.pid = message->pid,
		.spots = spots,
		.spot_cnt = message->cnt,
	};
	struct answer answer = {.link = 0};
	struct link *link;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fds[2]);
	answer.ret = link_open(&request, &link);
	if (!answer.ret) {
		answer.link = kept_add(kept, link);
		if (!answer.link) {
			links_close(&link, 1);
			answer.ret = -ENOMEM;
		}
	}
	/* Of a tracer that is gone, the link goes with all others. */
	if (write(fds[0], &answer, sizeof(answer)) < 0)
		return;
}

static void *closing_main(void *arg)
{
	struct closing *closing = arg;
	struct kept *kept = closing->kept;

	links_close(closing->links, closing->cnt);
	if (closing->answer >= 0)
		close(closing->answer);
	free(closing);
	pthread_mutex_lock(&kept->lock);
	kept->closing_cnt--;
	pthread_cond_signal(&kept->closed);
	pthread_mutex_unlock(&kept->lock);
	return NULL;
}

static void serve_close(struct kept *kept, const kept_link *ids, size_t cnt, int answer)
{
	struct closing *closing = calloc(1, sizeof(*closing) + cnt * sizeof(struct link *));
	pthread_t thread;

	if (!closing) { /* one after the other, then */
		for (size_t i = 0; i < cnt; i++)
			links_close(&(struct link *){kept_take(kept, ids[i])}, 1);
		return;
	}
	closing->kept = kept;
	closing->answer = answer < 0 ? -1 : fcntl(answer, F_DUPFD_CLOEXEC, 0);
	for (size_t i = 0; i < cnt; i++)
		closing->links[closing->cnt++] = kept_take(kept, ids[i]);
	pthread_mutex_lock(&kept->lock);
	kept->closing_cnt++;
	pthread_mutex_unlock(&kept->lock);
	if (pthread_create(&thread, NULL, closing_main, closing))
		closing_main(closing);
	else
		pthread_detach(thread);
}

static void serve(int socket)
{
	struct kept kept = {.lock = PTHREAD_MUTEX_INITIALIZER, .closed = PTHREAD_COND_INITIALIZER};
	static union {
		struct link_spot spots[KEEPER_SPOTS_MAX];
		kept_link links[KEEPER_SPOTS_MAX];
	} items;
	static struct message message;
	int fds[FDS_MAX];

	while (message_receive(socket, &message, &items, sizeof(items), fds) >= 0) {
		if (message.kind == MESSAGE_OPEN)
			serve_open(&kept, &message, items.spots, fds);
		else
			serve_close(&kept, items.links, message.cnt, fds[0]);
		for (size_t i = 0; i < FDS_MAX; i++)
			if (fds[i] >= 0)
				close(fds[i]);
	}
	links_close(kept.links, kept.cnt);
	pthread_mutex_lock(&kept.lock);
	while (kept.closing_cnt)
		pthread_cond_wait(&kept.closed, &kept.lock);
	pthread_mutex_unlock(&kept.lock);
}

/* Neither a terminal's keys nor what is sent to the tracer's process group reaches it, and it holds nothing
 * of ours. */
static void __attribute__((noreturn)) keeper_main(int socket)
{
	sigset_t all;
	int null;

	setsid();
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	prctl(PR_SET_NAME, "uprobe-keeper");
	urgent_thread();
	file_limit_raise();
	dup2(socket, STDERR_FILENO + 1);
	socket = STDERR_FILENO + 1;
	syscall(SYS_close_range, socket + 1, ~0U, 0);
	null = open("/dev/null", O_RDWR);
	for (int fd = 0; null >= 0 && fd <= STDERR_FILENO; fd++)
		dup2(null, fd);
	serve(socket);
	_exit(0);
}

/* The tracer's side. */

int keeper_start(struct keeper **result)
{
	struct keeper *keeper = calloc(1, sizeof(*keeper));
	int sockets[2];

	if (!keeper)
		return -ENOMEM;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets)) {
		free(keeper);
		return -errno;
	}
	keeper->pid = fork();
	if (keeper->pid == 0)
		keeper_main(sockets[1]);
	close(sockets[1]);
	keeper->socket = sockets[0];
	if (keeper->pid < 0) {
		close(keeper->socket);
		free(keeper);
		return -EAGAIN;
	}
	*result = keeper;
	return 0;
}

void keeper_stop(struct keeper *keeper)
{
	if (!keeper)
		return;
	close(keeper->socket);
	while (waitpid(keeper->pid, NULL, 0) < 0 && errno == EINTR)
		;
	free(keeper);
}

pid_t keeper_pid(const struct keeper *keeper)
{
	return keeper->pid;
}

bool keeper_is_dead(struct keeper *keeper)
{
	struct pollfd fd = {.fd = keeper->socket};

	return poll(&fd, 1, 0) > 0 && (fd.revents & POLLHUP);
}

static int send_open(struct keeper *keeper, const struct link_request *request, int answer)
{
	const struct message message = {
		.kind = MESSAGE_OPEN,
		.backend = request->backend,
		.when = request->when,
		.pid = request->pid,
		.cnt = request->spot_cnt,
	};
	int file = open(request->path, O_PATH | O_CLOEXEC), ret;

	if (file < 0)
		return -errno;
	ret = message_send(keeper->socket, &message, request->spots,
			   request->spot_cnt * sizeof(*request->spots),
			   (int[FDS_MAX]){answer, request->prog_fd, file}, FDS_MAX);
	close(file);
	return ret;
}

int keeper_open(struct keeper *keeper, const struct link_request *request, kept_link *link)
{
	struct answer answer = {.ret = -EPIPE};
	ssize_t got = 0;
	int pipe_fds[2], ret;

	if (request->spot_cnt > KEEPER_SPOTS_MAX)
		return -E2BIG;
	if (pipe2(pipe_fds, O_CLOEXEC))
		return -errno;
	ret = send_open(keeper, request, pipe_fds[1]);
	close(pipe_fds[1]);
	while (!ret && (got = read(pipe_fds[0], &answer, sizeof(answer))) < 0 && errno == EINTR)
		;
	close(pipe_fds[0]);
	if (ret || got != sizeof(answer))
		return ret ? ret : -EPIPE;
	*link = answer.link;
	return answer.ret;
}

static void send_close(struct keeper *keeper, const kept_link *links, size_t cnt, const int *answer)
{
	struct message message = {.kind = MESSAGE_CLOSE};

	for (size_t i = 0; i < cnt; i += message.cnt) {
		message.cnt = cnt - i < KEEPER_SPOTS_MAX ? cnt - i : KEEPER_SPOTS_MAX;
		message_send(keeper->socket, &message, links + i, message.cnt * sizeof(*links), answer,
			     answer ? 1 : 0);
	}
}

int keeper_drop_told(struct keeper *keeper, const kept_link *links, size_t cnt)
{
	int pipe_fds[2];

	if (pipe2(pipe_fds, O_CLOEXEC)) {
		keeper_drop(keeper, links, cnt);
		return -1;
	}
	send_close(keeper, links, cnt, &pipe_fds[1]);
	close(pipe_fds[1]);
	return pipe_fds[0];
}

void keeper_wait(int told)
{
	char byte;

	while (read(told, &byte, 1) < 0 && errno == EINTR)
		;
	close(told);
}

void keeper_close(struct keeper *keeper, const kept_link *links, size_t cnt)
{
	int told = keeper_drop_told(keeper, links, cnt);

	if (told >= 0)
		keeper_wait(told);
}

void keeper_drop(struct keeper *keeper, const kept_link *links, size_t cnt)
{
	send_close(keeper, links, cnt, NULL);
}
