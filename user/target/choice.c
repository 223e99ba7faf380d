#include "target/choice.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "target/descendants.h"
#include "target/unit.h"

#define COMM_MAX 15 /* include/linux/sched.h, TASK_COMM_LEN without the NUL */

struct choice {
	struct choice_names names;
	bool has_cgroup;
	struct cgroup cgroup;
	char title[CHOICE_TITLE_MAX];
};

static int find_unit(struct choice *c, const struct cgroup_tree *tree, struct error *err)
{
	struct unit unit;
	int ret = unit_find(tree, c->names.unit, &unit, err);

	if (ret)
		return ret;
	snprintf(c->title, sizeof(c->title), "%s", unit.name);
	return cgroup_of_path(tree, unit.path, &c->cgroup, err);
}

static int find_cgroup(struct choice *c, struct error *err)
{
	struct cgroup_tree *tree = malloc(sizeof(*tree));
	int ret;

	if (!tree)
		return error_set(err, -ENOMEM, "out of memory");
	ret = cgroup_tree_open("/proc", tree, err);
	if (!ret && c->names.unit)
		ret = find_unit(c, tree, err);
	else if (!ret)
		ret = cgroup_of_path(tree, c->names.cgroup, &c->cgroup, err);
	if (!ret && !c->title[0])
		snprintf(c->title, sizeof(c->title), "cgroup %.*s", CHOICE_TITLE_MAX - 8, c->cgroup.path);
	free(tree);
	return ret;
}

int choice_open(const struct choice_names *names, struct choice **result, struct error *err)
{
	struct choice *c = calloc(1, sizeof(*c));
	int ret = 0;

	if (!c)
		return error_set(err, -ENOMEM, "out of memory");
	c->names = *names;
	c->has_cgroup = names->unit || names->cgroup;
	if (c->has_cgroup)
		ret = find_cgroup(c, err);
	else if (names->comm)
		snprintf(c->title, sizeof(c->title), "processes named %s", names->comm);
	if (ret)
		choice_free(c);
	else
		*result = c;
	return ret;
}

void choice_free(struct choice *c)
{
	free(c);
}

static void add(struct pid_list *pids, pid_t pid, bool *cut)
{
	if (pid == getpid())
		return;
	if (pids->cnt == CHOICE_PIDS_MAX)
		*cut = true;
	else
		pids->v[pids->cnt++] = pid;
}

static bool is_named(pid_t pid, const char *name)
{
	char path[64], comm[COMM_MAX + 2] = "";
	size_t len;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	len = fread(comm, 1, sizeof(comm) - 1, f);
	fclose(f);
	if (len && comm[len - 1] == '\n')
		comm[len - 1] = '\0';
	return !strncmp(comm, name, COMM_MAX) && comm[0];
}

static int compare_pids(const void *a, const void *b)
{
	return *(const pid_t *)a < *(const pid_t *)b ? -1 : *(const pid_t *)a > *(const pid_t *)b;
}

static int find_named(const char *name, struct pid_list *pids, bool *cut, struct error *err)
{
	struct dirent *entry;
	DIR *proc = opendir("/proc");

	if (!proc)
		return error_set(err, -errno, "cannot read /proc: %s", strerror(errno));
	while ((entry = readdir(proc))) {
		char *end;
		long pid = strtol(entry->d_name, &end, 10);

		if (pid > 0 && !*end && is_named((pid_t)pid, name))
			add(pids, (pid_t)pid, cut);
	}
	closedir(proc);
	qsort(pids->v, pids->cnt, sizeof(pids->v[0]), compare_pids);
	return 0;
}

static int find_in_cgroup(const struct choice *c, struct pid_list *pids, bool *cut, struct error *err)
{
	pid_t *in;
	size_t cnt;
	int ret = cgroup_pids(&c->cgroup, &in, &cnt, err);

	if (ret)
		return ret;
	for (size_t i = 0; i < cnt; i++)
		add(pids, in[i], cut);
	free(in);
	return 0;
}

static int find_named_so(struct choice *c, struct pid_list *pids, bool *cut, struct error *err)
{
	if (c->has_cgroup)
		return find_in_cgroup(c, pids, cut, err);
	if (c->names.comm)
		return find_named(c->names.comm, pids, cut, err);
	for (size_t i = 0; c->names.pids && i < c->names.pids->cnt; i++)
		add(pids, c->names.pids->v[i], cut);
	return 0;
}

static int add_descendants(struct pid_list *pids, bool *cut, struct error *err)
{
	pid_t *found;
	size_t cnt;
	int ret = descendants_find(pids->v, pids->cnt, &found, &cnt, err);

	if (ret)
		return ret;
	for (size_t i = 0; i < cnt; i++)
		add(pids, found[i], cut);
	free(found);
	qsort(pids->v, pids->cnt, sizeof(pids->v[0]), compare_pids);
	return 0;
}

int choice_pids(struct choice *c, struct pid_list *pids, bool *cut, struct error *err)
{
	int ret;

	*cut = false;
	pids->cnt = 0;
	ret = find_named_so(c, pids, cut, err);
	return ret || !c->names.descendants ? ret : add_descendants(pids, cut, err);
}

bool choice_grows(const struct choice *c)
{
	return c->has_cgroup || c->names.comm;
}

const struct cgroup *choice_cgroup(const struct choice *c)
{
	return c->has_cgroup ? &c->cgroup : NULL;
}

const char *choice_title(const struct choice *c)
{
	return c->title;
}
