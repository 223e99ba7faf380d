#include "command/cgroup_watch.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "detect/limit.h"

struct cgroup_watch {
	struct cgroup cgroup;
	struct cgroup_memory first; /* at the attach */
	struct limit_watch limit;
	struct cgroup_view view;
};

static int find(const struct cgroup *named, pid_t pid, struct cgroup *cgroup)
{
	struct cgroup_tree *tree;
	int ret;

	if (named) {
		*cgroup = *named;
		return 0;
	}
	tree = malloc(sizeof(*tree));
	ret = tree ? cgroup_tree_open("/proc", tree, NULL) : -1;
	ret = ret ? ret : cgroup_of_process(tree, pid, cgroup, NULL);
	free(tree);
	return ret;
}

struct cgroup_watch *cgroup_watch_new(const struct cgroup *named, pid_t pid)
{
	struct cgroup_watch *w = calloc(1, sizeof(*w));

	if (w && !find(named, pid, &w->cgroup) && !cgroup_memory_read(&w->cgroup, &w->first)) {
		w->view.path = w->cgroup.accounts_path;
		w->view.memory = w->first;
		return w;
	}
	free(w);
	return NULL;
}

void cgroup_watch_free(struct cgroup_watch *w)
{
	free(w);
}

void cgroup_watch_tick(struct cgroup_watch *w)
{
	uint64_t current = w ? cgroup_memory_current(&w->cgroup) : CGROUP_UNKNOWN;

	if (current != CGROUP_UNKNOWN)
		limit_sample(&w->limit, clock_monotonic_ns(), current);
}

static uint64_t since(uint64_t now, uint64_t first)
{
	return now == CGROUP_UNKNOWN || first == CGROUP_UNKNOWN || now < first ? 0 : now - first;
}

/* The limit that comes first: above high the kernel reclaims and slows down, at max it kills. */
static uint64_t nearest_limit(const struct cgroup_memory *m)
{
	uint64_t high = m->effective_high.bytes, max = m->effective_max.bytes;

	if (high == CGROUP_UNKNOWN || high < m->current)
		high = CGROUP_NO_LIMIT;
	if (max == CGROUP_UNKNOWN)
		max = CGROUP_NO_LIMIT;
	return high < max ? high : max;
}

const struct cgroup_view *cgroup_watch_look(struct cgroup_watch *w)
{
	struct cgroup_memory now;
	struct limit_forecast forecast;

	if (!w)
		return NULL;
	if (!cgroup_memory_read(&w->cgroup, &now))
		w->view.memory = now;
	w->view.high_events = since(w->view.memory.events.high, w->first.events.high);
	w->view.max_events = since(w->view.memory.events.max, w->first.events.max);
	w->view.oom_kills = since(w->view.memory.events.oom_kill, w->first.events.oom_kill);
	w->view.limit = nearest_limit(&w->view.memory);
	forecast = limit_forecast(&w->limit, w->view.limit);
	w->view.growing = forecast.clear;
	w->view.growth = forecast.growth;
	w->view.seconds_to_limit = forecast.seconds;
	return &w->view;
}
