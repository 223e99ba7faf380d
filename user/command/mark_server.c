#include "command/mark_server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/printable.h"
#include "base/units.h"
#include "command/mark_folder.h"
#include "command/mark_wire.h"
#include "target/pid_namespace.h"

#define CLIENTS_MAX 64 /* at once; of more the one that has been there longest goes */
#define TICK_NS (NSEC_PER_SEC / 4)

enum { LISTENING = CLIENTS_MAX, TICKING };

struct client {
	int fd; /* −1: a free place */
	uint64_t came_ns;
	struct ucred peer;
	pid_t pid; /* whose mark it waits for; 0: it has not asked yet */
	uint64_t number;
};

struct mark_server {
	const char *folder;
	const struct log *log;
	int listening, epoll, timer;
	struct client clients[CLIENTS_MAX];
	unsigned waiting; /* clients for a reading */
};

static int add_to_epoll(struct mark_server *s, int fd, uint32_t number)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.u32 = number};

	return epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &ev) ? -errno : 0;
}

static int open_descriptors(struct mark_server *s, struct error *err)
{
	int ret = mark_folder_listen(s->folder, err);

	if (ret < 0)
		return ret;
	s->listening = ret;
	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	s->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	ret = s->epoll < 0 || s->timer < 0 ? -errno : add_to_epoll(s, s->listening, LISTENING);
	ret = ret ?: add_to_epoll(s, s->timer, TICKING);
	return ret ? error_set(err, ret, "cannot wait for them: %s", strerror(-ret)) : 0;
}

struct mark_server *mark_server_new(const char *folder, const struct log *log)
{
	struct mark_server *s = calloc(1, sizeof(*s));
	struct error err;

	if (!s)
		return NULL;
	*s = (struct mark_server){.folder = folder, .log = log, .listening = -1, .epoll = -1, .timer = -1};
	for (int i = 0; i < CLIENTS_MAX; i++)
		s->clients[i].fd = -1;
	if (!open_descriptors(s, &err))
		return s;
	log_note(log, "`alloctrace mark` will not be heard: %s", err.text);
	mark_server_free(s);
	return NULL;
}

static void close_client(struct mark_server *s, struct client *c)
{
	if (c->fd < 0)
		return;
	close(c->fd);
	s->waiting -= c->pid != 0;
	*c = (struct client){.fd = -1};
}

int mark_server_fd(const struct mark_server *s)
{
	return s ? s->epoll : -1;
}

/* It ticks while somebody waits: the time after which they are told that it takes longer. */
static void tick(const struct mark_server *s, bool on)
{
	struct itimerspec spec = {.it_value.tv_nsec = on ? TICK_NS : 0,
				  .it_interval.tv_nsec = on ? TICK_NS : 0};

	timerfd_settime(s->timer, 0, &spec, NULL);
}

/* A client that does not read its one reply is not waited for. */
static void reply(struct mark_server *s, struct client *c, enum mark_outcome outcome, const struct error *why)
{
	struct mark_reply packet = {.version = MARK_WIRE_VERSION, .outcome = outcome};

	if (why)
		snprintf(packet.why, sizeof(packet.why), "%s", why->text);
	send(c->fd, &packet, sizeof(packet), MSG_NOSIGNAL | MSG_DONTWAIT);
	close_client(s, c);
}

void mark_server_free(struct mark_server *s)
{
	if (!s)
		return;
	for (int i = 0; i < CLIENTS_MAX; i++)
		if (s->clients[i].pid)
			reply(s, &s->clients[i], MARK_UNREAD, NULL);
		else
			close_client(s, &s->clients[i]);
	if (s->listening >= 0) {
		mark_folder_leave(s->folder);
		close(s->listening);
	}
	if (s->timer >= 0)
		close(s->timer);
	if (s->epoll >= 0)
		close(s->epoll);
	free(s);
}

static struct client *free_place(struct mark_server *s)
{
	struct client *oldest = &s->clients[0];

	for (int i = 0; i < CLIENTS_MAX; i++) {
		if (s->clients[i].fd < 0)
			return &s->clients[i];
		if (s->clients[i].came_ns < oldest->came_ns)
			oldest = &s->clients[i];
	}
	close_client(s, oldest);
	return oldest;
}

static void accept_client(struct mark_server *s)
{
	int fd = accept4(s->listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	socklen_t size = sizeof(struct ucred);
	struct client *c;

	if (fd < 0)
		return;
	c = free_place(s);
	*c = (struct client){.fd = fd, .came_ns = clock_monotonic_ns()};
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c->peer, &size) ||
	    add_to_epoll(s, fd, (uint32_t)(c - s->clients)))
		close_client(s, c);
}

/* Ends every text within its field; false: it is none of our requests. */
static bool is_request(struct mark_request *request, ssize_t len)
{
	if (len != sizeof(*request) || request->version != MARK_WIRE_VERSION || request->pid <= 0)
		return false;
	request->kind[MARK_KIND_MAX] = request->text[MARK_TEXT_MAX] = '\0';
	printable(request->kind, sizeof(request->kind), request->kind);
	printable(request->text, sizeof(request->text), request->text);
	return request->kind[0] != '\0';
}

/* Whoever asks from inside a container means its own numbers. */
static int translate(const struct client *c, pid_t *pid, struct error *err)
{
	if (c->peer.pid <= 0)
		return error_set(err, -ESRCH, "whoever asks cannot be seen from here");
	if (pid_namespace_is_own(c->peer.pid))
		return 0;
	return pid_namespace_find(c->peer.pid, *pid, pid, err);
}

static void answer(struct mark_server *s, struct client *c, const struct mark_request *request,
		   struct group *group)
{
	struct group_mark mark = {
		.pid = request->pid,
		.by = c->peer.uid,
		.kind = request->kind,
		.text = request->text,
		.awaited = request->wait,
	};
	struct error err;
	int ret = translate(c, &mark.pid, &err);

	ret = ret ?: group_mark(group, &mark, &c->number, &err);
	if (ret == -ESRCH) {
		reply(s, c, MARK_UNKNOWN, NULL);
	} else if (ret) {
		reply(s, c, MARK_REFUSED, &err);
	} else if (!request->wait) {
		reply(s, c, MARK_DONE, NULL);
	} else {
		c->pid = mark.pid;
		s->waiting++;
		tick(s, true);
	}
}

static void serve_client(struct mark_server *s, struct client *c, struct group *group)
{
	struct mark_request request;
	ssize_t len = recv(c->fd, &request, sizeof(request), MSG_DONTWAIT | MSG_TRUNC);

	if (len < 0 && errno == EAGAIN)
		return;
	if (c->pid || !is_request(&request, len)) /* it has gone, or asks twice, or what nobody understands */
		close_client(s, c);
	else
		answer(s, c, &request, group);
}

void mark_server_act(struct mark_server *s, struct group *group)
{
	struct epoll_event ready[CLIENTS_MAX];
	int cnt = epoll_wait(s->epoll, ready, CLIENTS_MAX, 0);
	uint64_t ticks;

	for (int i = 0; i < cnt; i++) {
		uint32_t number = ready[i].data.u32;

		if (number == LISTENING)
			accept_client(s);
		else if (number == TICKING && read(s->timer, &ticks, sizeof(ticks)) < 0)
			continue;
		else if (number < CLIENTS_MAX && s->clients[number].fd >= 0)
			serve_client(s, &s->clients[number], group);
	}
}

void mark_server_settle(struct mark_server *s, const struct group *group)
{
	uint64_t now;

	if (!s || !s->waiting)
		return;
	now = clock_monotonic_ns();
	for (int i = 0; i < CLIENTS_MAX; i++) {
		struct client *c = &s->clients[i];

		if (c->fd < 0 || !c->pid)
			continue;
		if (group_mark_is_read(group, c->pid, c->number))
			reply(s, c, MARK_DONE, NULL);
		else if (now > c->came_ns + MARK_WAIT_NS)
			reply(s, c, MARK_UNREAD, NULL);
	}
	if (!s->waiting)
		tick(s, false);
}
