#include "probe/link.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CLOSERS_MAX 32

/* include/uapi/linux/bpf.h of 6.13: what older headers lack. */
enum {
	CMD_LINK_CREATE = 28,
	ATTACH_PERF_EVENT = 41,
	ATTACH_UPROBE_MULTI = 48,
	ATTACH_UPROBE_SESSION = 57,
	UPROBE_MULTI_RETURN = 1,
};

/* union bpf_attr's link_create, with the tails that we use. */
struct link_create {
	uint32_t prog_fd, target_fd, attach_type, flags;
	union {
		struct {
			uint64_t cookie;
		} perf_event;
		struct {
			uint64_t path, offsets, ref_ctr_offsets, cookies;
			uint32_t cnt, flags, pid;
		} uprobe_multi;
	};
};

const char *const link_backend_names[LINK_BACKEND_CNT] = {
	[LINK_SESSION] = "session",
	[LINK_MULTI] = "multi",
	[LINK_PERF] = "perf",
};

struct link {
	size_t cnt;
	int fds[];
};

uint32_t link_attach_type(enum link_backend backend, enum link_when when)
{
	if (backend == LINK_PERF)
		return 0;
	return when == LINK_AT_BOTH ? ATTACH_UPROBE_SESSION : ATTACH_UPROBE_MULTI;
}

static int link_create(const struct link_create *attr)
{
	int fd = (int)syscall(SYS_bpf, CMD_LINK_CREATE, attr, sizeof(*attr));

	return fd < 0 ? -errno : fd;
}

static int open_multi(const struct link_request *r, struct link *link)
{
	struct link_create attr = {
		.prog_fd = (uint32_t)r->prog_fd,
		.attach_type = link_attach_type(r->backend, r->when),
	};
	uint64_t *offsets = calloc(r->spot_cnt, 3 * sizeof(*offsets)), *cookies = offsets + r->spot_cnt,
		 *semaphores = cookies + r->spot_cnt;
	int fd;

	if (!offsets)
		return -ENOMEM;
	for (size_t i = 0; i < r->spot_cnt; i++) {
		offsets[i] = r->spots[i].offset;
		cookies[i] = r->spots[i].cookie;
		semaphores[i] = r->spots[i].semaphore;
	}
	attr.uprobe_multi.path = (uintptr_t)r->path;
	attr.uprobe_multi.offsets = (uintptr_t)offsets;
	attr.uprobe_multi.ref_ctr_offsets = (uintptr_t)semaphores;
	attr.uprobe_multi.cookies = (uintptr_t)cookies;
	attr.uprobe_multi.cnt = (uint32_t)r->spot_cnt;
	attr.uprobe_multi.flags = r->when == LINK_AT_RETURN ? UPROBE_MULTI_RETURN : 0;
	attr.uprobe_multi.pid = (uint32_t)r->pid;
	fd = link_create(&attr);
	free(offsets);
	if (fd < 0)
		return fd;
	link->fds[link->cnt++] = fd;
	return 0;
}

/* A number from the uprobe PMU's description in sysfs; it needs no tracefs. */
static int pmu_number(const char *file, const char *format)
{
	char path[96];
	int number = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/sys/bus/event_source/devices/uprobe/%s", file);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	if (fscanf(f, format, &number) != 1)
		number = -ENOENT;
	fclose(f);
	return number;
}

static int open_perf_event(const struct link_request *r, const struct link_spot *spot)
{
	struct perf_event_attr attr = {.size = sizeof(attr)};
	int type = pmu_number("type", "%d"), bit = pmu_number("format/retprobe", "config:%d"), fd;
	int counter = spot->semaphore ? pmu_number("format/ref_ctr_offset", "config:%d") : 0;

	if (type < 0 || bit < 0 || bit > 63 || counter < 0 || counter > 63 || spot->semaphore > UINT32_MAX)
		return -ENOTSUP;
	attr.type = (uint32_t)type;
	attr.config = (r->when == LINK_AT_RETURN ? 1ULL << bit : 0) | spot->semaphore << counter;
	attr.config1 = (uintptr_t)r->path;
	attr.config2 = spot->offset;
	fd = (int)syscall(SYS_perf_event_open, &attr, r->pid, -1, -1, PERF_FLAG_FD_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int open_perf(const struct link_request *r, struct link *link)
{
	for (size_t i = 0; i < r->spot_cnt; i++) {
		struct link_create attr = {
			.prog_fd = (uint32_t)r->prog_fd,
			.attach_type = ATTACH_PERF_EVENT,
			.perf_event.cookie = r->spots[i].cookie,
		};
		int event = open_perf_event(r, &r->spots[i]), fd;

		if (event < 0)
			return event;
		attr.target_fd = (uint32_t)event;
		fd = link_create(&attr);
		close(event); /* the link holds it */
		if (fd < 0)
			return fd;
		link->fds[link->cnt++] = fd;
	}
	return 0;
}

int link_open(const struct link_request *request, struct link **result)
{
	struct link *link = calloc(1, sizeof(*link) + request->spot_cnt * sizeof(link->fds[0]));
	int ret;

	if (!link)
		return -ENOMEM;
	if (request->backend == LINK_PERF)
		ret = open_perf(request, link);
	else
		ret = open_multi(request, link);
	if (ret)
		links_close(&link, 1);
	else
		*result = link;
	return ret;
}

struct closer {
	const int *fds;
	size_t cnt, next;
};

static void *close_some(void *arg)
{
	struct closer *c = arg;
	size_t i;

	while ((i = __atomic_fetch_add(&c->next, 1, __ATOMIC_RELAXED)) < c->cnt)
		close(c->fds[i]);
	return NULL;
}

static void close_all(const int *fds, size_t cnt)
{
	struct closer closer = {.fds = fds, .cnt = cnt};
	pthread_t threads[CLOSERS_MAX];
	size_t started = 0;

	while (started < CLOSERS_MAX && started + 1 < cnt &&
	       !pthread_create(&threads[started], NULL, close_some, &closer))
		started++;
	close_some(&closer);
	while (started)
		pthread_join(threads[--started], NULL);
}

void links_close(struct link *const *links, size_t cnt)
{
	size_t fd_cnt = 0, at = 0;
	int *fds;

	for (size_t i = 0; i < cnt; i++)
		fd_cnt += links[i] ? links[i]->cnt : 0;
	fds = calloc(fd_cnt + 1, sizeof(*fds));
	for (size_t i = 0; i < cnt; i++) {
		if (!links[i])
			continue;
		if (fds)
			memcpy(fds + at, links[i]->fds, links[i]->cnt * sizeof(*fds));
		else
			close_all(links[i]->fds, links[i]->cnt); /* no memory: one after the other */
		at += links[i]->cnt;
		free(links[i]);
	}
	if (fds)
		close_all(fds, fd_cnt);
	free(fds);
}
