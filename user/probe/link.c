#include "probe/link.h"

#include <dirent.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "probe/event_def.h"

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
	struct event_def def; /* of LINK_INHERITED */
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

static int open_on_thread(struct link *link, struct perf_event_attr *attr, pid_t tid)
{
	int fd = (int)syscall(SYS_perf_event_open, attr, tid, -1, -1, PERF_FLAG_FD_CLOEXEC);

	if (fd < 0)
		return -errno;
	link->fds[link->cnt++] = fd;
	return 0;
}

static int open_definition(struct link *link, pid_t tid, bool inherit)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_TRACEPOINT,
		.size = sizeof(attr),
		.config = link->def.id,
		.inherit = inherit,
	};

	return open_on_thread(link, &attr, tid);
}

/*
 * Where a thread and what it has forked have the same events, all inherited, the kernel does not change them
 * at a context switch but lets the two swap them (kernel/events/core.c, perf_event_context_sched_out), and of
 * uprobes the process goes with the event: when one of the two ends, the other has none any more. An event
 * that threads inherit and children do not (from 5.13 on) makes them differ.
 */
static int open_guard(struct link *link, pid_t tid)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_DUMMY,
		.disabled = 1,
		.inherit = 1,
		.inherit_thread = 1,
	};
	int ret = open_on_thread(link, &attr, tid);

	if (!ret || ret == -ESRCH)
		return ret;
	attr.inherit = attr.inherit_thread = 0;
	return open_on_thread(link, &attr, tid);
}

/*
 * The program is the definition's: it runs once a hit, whosever event lets the hit pass. Set through an
 * event that is not inherited: a child's inherits the program with it, and when the child ends the
 * kernel takes it from the definition (kernel/events/core.c of 6.18, perf_event_alloc and
 * perf_event_free_bpf_prog).
 */
static int attach_definition(const struct link_request *r, struct link *link)
{
	struct link_create attr = {
		.prog_fd = (uint32_t)r->prog_fd,
		.attach_type = ATTACH_PERF_EVENT,
		.perf_event.cookie = r->spots[0].cookie,
	};
	int ret = open_definition(link, r->pid, false), fd;

	if (ret)
		return ret;
	attr.target_fd = (uint32_t)link->fds[0];
	fd = link_create(&attr);
	if (fd >= 0)
		link->fds[link->cnt++] = fd;
	return fd < 0 ? fd : 0;
}

struct threads_seen {
	pid_t v[LINK_THREADS_MAX];
	size_t cnt;
};

static bool is_seen(const struct threads_seen *seen, pid_t tid)
{
	for (size_t i = 0; i < seen->cnt; i++)
		if (seen->v[i] == tid)
			return true;
	return false;
}

/* Those that have come since; how many, or −errno. One that has ended meanwhile is none. */
static int open_on_new_threads(const struct link_request *r, struct link *link, struct threads_seen *seen)
{
	struct dirent *entry;
	int ret = 0, cnt = 0;
	char path[32];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", r->pid);
	dir = opendir(path);
	if (!dir)
		return -ESRCH;
	while (!ret && (entry = readdir(dir))) {
		pid_t tid = atoi(entry->d_name);

		if (tid <= 0 || is_seen(seen, tid))
			continue;
		if (seen->cnt == LINK_THREADS_MAX) {
			ret = -E2BIG;
			break;
		}
		ret = r->backend == LINK_GUARD ? open_guard(link, tid) : open_definition(link, tid, true);
		ret = ret == -ESRCH ? 0 : ret;
		seen->v[seen->cnt++] = tid;
		cnt++;
	}
	closedir(dir);
	return ret ? ret : cnt;
}

#define THREAD_ROUNDS 8

/* Threads that those without the event have made meanwhile lack it too: until there are none. */
static int open_on_threads(const struct link_request *r, struct link *link)
{
	struct threads_seen seen = {.cnt = 0};
	struct rlimit limit;
	int ret = 1;

	if (!getrlimit(RLIMIT_NOFILE, &limit) && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	for (int i = 0; i < THREAD_ROUNDS && ret > 0; i++)
		ret = open_on_new_threads(r, link, &seen);
	return ret < 0 ? ret : 0;
}

static int open_inherited(const struct link_request *r, struct link *link)
{
	int ret = event_def_add(r, &link->def);

	ret = ret ?: attach_definition(r, link);
	return ret ?: open_on_threads(r, link);
}

static size_t fds_wanted(const struct link_request *request)
{
	return request->backend >= LINK_INHERITED ? LINK_THREADS_MAX + 2 : request->spot_cnt;
}

int link_open(const struct link_request *request, struct link **result)
{
	struct link *link = calloc(1, sizeof(*link) + fds_wanted(request) * sizeof(link->fds[0]));
	int ret;

	if (!link)
		return -ENOMEM;
	if (request->backend == LINK_INHERITED)
		ret = open_inherited(request, link);
	else if (request->backend == LINK_GUARD)
		ret = open_on_threads(request, link);
	else if (request->backend == LINK_PERF)
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
	}
	if (fds)
		close_all(fds, fd_cnt);
	free(fds);
	for (size_t i = 0; i < cnt; i++) {
		if (links[i])
			event_def_remove(&links[i]->def);
		free(links[i]);
	}
}
