/*
 * Which processes are meant, as people name them: by PIDs, by the name of their command, by a
 * cgroup, by a systemd unit; and what descends from them. All but PIDs may come to mean others later.
 */
#ifndef ALLOCTRACE_TARGET_CHOICE_H
#define ALLOCTRACE_TARGET_CHOICE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"
#include "target/cgroup.h"

#define CHOICE_PIDS_MAX 1024
#define CHOICE_TITLE_MAX 256

struct pid_list {
	pid_t v[CHOICE_PIDS_MAX];
	size_t cnt;
};

struct choice_names { /* as they were given; NULL: not so */
	const struct pid_list *pids;
	const char *comm;   /* as /proc/PID/comm has it: the kernel keeps 15 bytes */
	const char *cgroup; /* cgroup_of_path */
	const char *unit;   /* unit_find */
	bool descendants;   /* the processes that descend from those too */
};

struct choice;

/* −ENOENT, −ENOTUNIQ for what names nothing, or several. The names must outlive it. */
int choice_open(const struct choice_names *names, struct choice **choice, struct error *err);
void choice_free(struct choice *choice); /* NULL-safe */
/* The processes that are meant now, ascending, ourselves left out; more than CHOICE_PIDS_MAX are cut off, and said so. */
int choice_pids(struct choice *choice, struct pid_list *pids, bool *cut, struct error *err);
/* Whether it may mean other processes later. */
bool choice_grows(const struct choice *choice);
/* The cgroup that was named, by itself or by its unit; NULL: none was. */
const struct cgroup *choice_cgroup(const struct choice *choice);
/* "nginx.service", "processes named nginx"; "" for PIDs. */
const char *choice_title(const struct choice *choice);

#endif
