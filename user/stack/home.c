#include "stack/home.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "stack/perf_map.h"
#include "target/root.h"

struct home {
	pid_t pid, parent;
	atomic_uint holders;
	int root;
	bool root_tried;
	struct perf_map *perf_map;
};

struct home *home_new(pid_t pid, pid_t parent)
{
	struct home *home = calloc(1, sizeof(*home));

	if (!home)
		return NULL;
	home->pid = pid;
	home->parent = parent;
	home->root = -1;
	atomic_init(&home->holders, 1);
	return home;
}

struct home *home_hold(struct home *home)
{
	atomic_fetch_add(&home->holders, 1);
	return home;
}

void home_release(struct home *home)
{
	if (!home || atomic_fetch_sub(&home->holders, 1) > 1)
		return;
	perf_map_free(home->perf_map);
	if (home->root >= 0)
		close(home->root);
	free(home);
}

bool home_is_mine(const struct home *home)
{
	return atomic_load(&home->holders) == 1;
}

int home_open_object(const struct home *home, const struct mapping *m, struct object **object)
{
	int rc = object_open_mapped(home->pid, m, object, NULL);

	return rc == -ENOENT && home->parent ? object_open_mapped(home->parent, m, object, NULL) : rc;
}

void home_open_root(struct home *home)
{
	if (home->root_tried)
		return;
	home->root_tried = true;
	home->root = root_open(home->pid);
	if (home->root < 0 && home->parent)
		home->root = root_open(home->parent);
}

bool home_open_perf_map(struct home *home)
{
	home_open_root(home);
	if (!home->perf_map)
		home->perf_map = perf_map_new(home->pid, home->root);
	return home->perf_map && perf_map_open(home->perf_map);
}

pid_t home_pid(const struct home *home)
{
	return home->pid;
}

int home_root(const struct home *home)
{
	return home->root;
}

struct perf_map *home_perf_map(const struct home *home)
{
	return home->perf_map;
}
