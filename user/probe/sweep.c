#include "probe/sweep.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/units.h"

#define FILES_MAX 32
#define INTERVAL (NSEC_PER_SEC / 5)

struct sweep_file {
	int fd; /* our own: the caller's object may go meanwhile */
	struct link_spot *spots;
	size_t spot_cnt;
};

struct sweep {
	struct keeper *keeper;
	int prog_fd;
	pid_t pid;
	bool wanted;
	uint64_t last; /* when the last one was started */
	bool started;  /* there is a thread to join */
	bool done;     /* atomic: it has nothing left to do */
	pthread_t thread;
	struct sweep_file files[FILES_MAX];
	size_t file_cnt;
};

struct sweep *sweep_new(struct keeper *keeper, int prog_fd, pid_t pid)
{
	struct sweep *s = calloc(1, sizeof(*s));

	if (s)
		*s = (struct sweep){.keeper = keeper, .prog_fd = prog_fd, .pid = pid};
	return s;
}

static void forget_files(struct sweep *s)
{
	while (s->file_cnt) {
		struct sweep_file *file = &s->files[--s->file_cnt];

		close(file->fd);
		free(file->spots);
	}
}

static void join(struct sweep *s)
{
	if (s->started)
		pthread_join(s->thread, NULL);
	s->started = false;
	forget_files(s);
}

void sweep_free(struct sweep *s)
{
	if (!s)
		return;
	join(s);
	free(s);
}

void sweep_want(struct sweep *s)
{
	s->wanted = true;
}

bool sweep_is_due(struct sweep *s)
{
	if (!s->wanted || clock_monotonic_ns() - s->last < INTERVAL)
		return false;
	if (s->started && !__atomic_load_n(&s->done, __ATOMIC_ACQUIRE))
		return false;
	join(s);
	return true;
}

void sweep_add(struct sweep *s, const char *path, const struct plan *plan)
{
	struct sweep_file *file = &s->files[s->file_cnt];

	if (s->file_cnt == FILES_MAX)
		return;
	*file = (struct sweep_file){.fd = open(path, O_RDONLY | O_CLOEXEC)};
	file->spots = calloc(plan->cnt, sizeof(*file->spots));
	if (file->fd < 0 || !file->spots) {
		if (file->fd >= 0)
			close(file->fd);
		free(file->spots);
		return;
	}
	for (size_t i = 0; i < plan->cnt; i++)
		file->spots[file->spot_cnt++] = (struct link_spot){
			.offset = plan->v[i].at.offset,
			.semaphore = plan->v[i].at.semaphore,
		};
	s->file_cnt++;
}

static void *sweep_main(void *arg)
{
	kept_link links[FILES_MAX];
	size_t cnt = 0;
	struct sweep *s = arg;

	for (size_t i = 0; i < s->file_cnt; i++) {
		char path[32];

		snprintf(path, sizeof(path), "/proc/self/fd/%d", s->files[i].fd);
		/* The target may be gone: then its children are no longer held to anything either. */
		cnt += !keeper_open(s->keeper,
				    &(struct link_request){
					    .backend = LINK_MULTI,
					    .when = LINK_AT_ENTRY,
					    .prog_fd = s->prog_fd,
					    .path = path,
					    .pid = s->pid,
					    .spots = s->files[i].spots,
					    .spot_cnt = s->files[i].spot_cnt,
				    },
				    &links[cnt]);
	}
	keeper_close(s->keeper, links, cnt);
	__atomic_store_n(&s->done, true, __ATOMIC_RELEASE);
	return NULL;
}

void sweep_start(struct sweep *s)
{
	s->wanted = false;
	s->last = clock_monotonic_ns();
	__atomic_store_n(&s->done, false, __ATOMIC_RELAXED);
	s->started = !pthread_create(&s->thread, NULL, sweep_main, s);
	if (!s->started) {
		forget_files(s);
		s->wanted = true;
	}
}
