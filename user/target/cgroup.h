/*
 * Control groups, as far as memory is concerned: where a process lives, what limits it there, what has
 * happened, and who else lives there (Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/memory.rst).
 * Version 2, version 1, and both at once (hybrid: limits in v1, pressure in v2). Read-only.
 *
 * What is read there may be a container's own doing and is hostile: texts, depths and counts are bounded.
 */
#ifndef ALLOCTRACE_TARGET_CGROUP_H
#define ALLOCTRACE_TARGET_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

#define CGROUP_PATH_MAX 1024
#define CGROUP_DEPTH_MAX 32     /* folders below a cgroup that are looked into */
#define CGROUP_FOLDERS_MAX 65536
#define CGROUP_PIDS_MAX 4194304 /* PID_MAX_LIMIT, include/linux/threads.h */

#define CGROUP_NO_LIMIT UINT64_MAX      /* "max" */
#define CGROUP_UNKNOWN (UINT64_MAX - 1) /* no such file there: v1 has no high, the root no limits */

/* One hierarchy, and where we see it. */
struct cgroup_hierarchy {
	char mount[CGROUP_PATH_MAX]; /* the folder; "": not mounted, or not where we see it */
	char root[CGROUP_PATH_MAX];  /* the cgroup that this folder is: "/" unless a part is mounted */
};

struct cgroup_tree {
	char proc[CGROUP_PATH_MAX];         /* "/proc", or a made-up one */
	struct cgroup_hierarchy unified;    /* version 2 */
	struct cgroup_hierarchy memory_v1;  /* of the memory controller, where it is version 1's */
	struct cgroup_hierarchy systemd_v1; /* named "systemd": units, before there was version 2 */
};

/* Finds the hierarchies in proc/self/mountinfo. −ENOENT if there is none. */
int cgroup_tree_open(const char *proc, struct cgroup_tree *tree, struct error *err);

struct cgroup {
	char path[CGROUP_PATH_MAX];      /* in its hierarchy: "/system.slice/redis.service" */
	char unit_path[CGROUP_PATH_MAX]; /* the same in the hierarchy where systemd keeps units (unit.h) */
	char folder[CGROUP_PATH_MAX];    /* of path, where we see it */
	/*
	 * What accounts its memory: the cgroup, or the nearest ancestor that has the controller. "": none
	 * that we see, or only the root, which has no limits.
	 */
	char accounts[CGROUP_PATH_MAX];  /* the folder; ancestors end at its first accounts_top bytes */
	char accounts_path[CGROUP_PATH_MAX];
	size_t accounts_top;
	bool v1;                         /* these files are version 1's */
	char pressure[CGROUP_PATH_MAX];  /* folder with memory.pressure; "": none */
};

/* The cgroup of a process (its memory controller's). −ENOENT: ended, or its cgroup is not to be seen from here. */
int cgroup_of_process(const struct cgroup_tree *tree, pid_t pid, struct cgroup *cg, struct error *err);
/*
 * By a name that people use: a folder below a mount point, or a path in the hierarchy with or
 * without the first slash. −ENOENT if there is no such cgroup, −EINVAL for one that climbs ("..").
 */
int cgroup_of_path(const struct cgroup_tree *tree, const char *path, struct cgroup *cg, struct error *err);

/*
 * Every process in the cgroup and below, ascending, each once. The caller frees *pids. −E2BIG beyond
 * CGROUP_PIDS_MAX. Processes of PID namespaces that we do not see have no number and are left out.
 */
int cgroup_pids(const struct cgroup *cg, pid_t **pids, size_t *cnt, struct error *err);

/* The smallest limit from the cgroup up to the root. */
struct cgroup_limit {
	uint64_t bytes;             /* or CGROUP_NO_LIMIT, CGROUP_UNKNOWN */
	char path[CGROUP_PATH_MAX]; /* of the cgroup that sets it; "" where there is none */
};

/* Of Documentation/accounting/psi.rst; averages in percent, negative: not known. */
struct cgroup_pressure {
	double avg10, avg60, avg300;
	uint64_t total_us;
};

struct cgroup_memory { /* bytes and counts, CGROUP_UNKNOWN where the kernel does not say */
	uint64_t current, peak, high, max, swap_current, swap_max;
	struct cgroup_limit effective_high, effective_max, effective_swap_max;
	/* Since the cgroup was made, descendants included (version 1: without them; max is failcnt, oom unknown). */
	struct {
		uint64_t low, high, max, oom, oom_kill;
	} events;
	int oom_group; /* 1: killed as a whole, 0, −1: not known */
	struct cgroup_pressure some, full;
};

/* Reads what there is: some 20 small files and 3 an ancestor. −ENOENT if nothing accounts its memory. */
int cgroup_memory_read(const struct cgroup *cg, struct cgroup_memory *m);
/* memory.current alone, to be read often; CGROUP_UNKNOWN if there is none. */
uint64_t cgroup_memory_current(const struct cgroup *cg);

/* For those who look through a hierarchy (unit.c): the folder of a cgroup path in h; false if it is not to be seen. */
bool cgroup_folder(const struct cgroup_hierarchy *h, const char *path, char folder[CGROUP_PATH_MAX]);

#endif
