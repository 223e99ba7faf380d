#include "screen/capture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PIPE_BYTES (1 << 20)
#define PENDING_MAX 4096

struct capture {
	int before, fd;
	char pending[PENDING_MAX]; /* read, and no whole line yet */
	size_t len;
};

struct capture *capture_begin(void)
{
	struct capture *c = calloc(1, sizeof(*c));
	int ends[2];

	if (!c || pipe2(ends, O_CLOEXEC | O_NONBLOCK)) {
		free(c);
		return NULL;
	}
	fcntl(ends[1], F_SETPIPE_SZ, PIPE_BYTES); /* or as large as it is */
	c->fd = ends[0];
	c->before = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	if (c->before < 0 || dup2(ends[1], STDERR_FILENO) < 0) {
		close(ends[0]);
		close(ends[1]);
		if (c->before >= 0)
			close(c->before);
		free(c);
		return NULL;
	}
	close(ends[1]);
	return c;
}

void capture_end(struct capture *c)
{
	char line[PENDING_MAX + 1];

	if (!c)
		return;
	dup2(c->before, STDERR_FILENO);
	while (capture_line(c, line, sizeof(line)))
		fprintf(stderr, "%s\n", line);
	fprintf(stderr, "%.*s", (int)c->len, c->pending);
	close(c->before);
	close(c->fd);
	free(c);
}

int capture_fd(const struct capture *c)
{
	return c ? c->fd : -1;
}

int capture_before_fd(const struct capture *c)
{
	return c ? c->before : -1;
}

bool capture_line(struct capture *c, char *buf, size_t size)
{
	char *end = memchr(c->pending, '\n', c->len);
	size_t len, gone;

	if (!end && c->len < PENDING_MAX) {
		ssize_t got = read(c->fd, c->pending + c->len, PENDING_MAX - c->len);

		c->len += got > 0 ? (size_t)got : 0;
		end = memchr(c->pending, '\n', c->len);
	}
	if (!end && c->len < PENDING_MAX)
		return false;
	len = end ? (size_t)(end - c->pending) : c->len;
	gone = end ? len + 1 : len;
	snprintf(buf, size, "%.*s", (int)len, c->pending);
	c->len -= gone;
	memmove(c->pending, c->pending + gone, c->len);
	return true;
}
