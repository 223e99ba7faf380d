#include "target/descendants.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

struct relation {
	pid_t pid, parent;
	bool is_found; /* or given */
};

struct relations {
	struct relation *v;
	size_t cnt, cap;
};

/* "4242 (name) S 4200 …": the name may have parentheses and spaces (proc(5)). 0: it has ended. */
static pid_t parent_of(const char *name)
{
	char path[288], text[256], *end;
	int parent = 0;

	snprintf(path, sizeof(path), "/proc/%s", name);
	if (file_read_in(path, "stat", text, sizeof(text)) < 0)
		return 0;
	end = strrchr(text, ')');
	return end && sscanf(end + 1, " %*c %d", &parent) == 1 ? parent : 0;
}

static int add(struct relations *all, pid_t pid, pid_t parent)
{
	if (all->cnt == all->cap) {
		size_t cap = all->cap ? 2 * all->cap : 256;
		struct relation *v = reallocarray(all->v, cap, sizeof(*v));

		if (!v)
			return -ENOMEM;
		all->v = v;
		all->cap = cap;
	}
	all->v[all->cnt++] = (struct relation){.pid = pid, .parent = parent};
	return 0;
}

static int read_all(struct relations *all)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	int ret = 0;

	if (!proc)
		return -errno;
	while (!ret && (entry = readdir(proc))) {
		char *end;
		long pid = strtol(entry->d_name, &end, 10);
		pid_t parent = pid > 0 && !*end ? parent_of(entry->d_name) : 0;

		if (parent > 0)
			ret = add(all, (pid_t)pid, parent);
	}
	closedir(proc);
	return ret;
}

static int by_pid(const void *a, const void *b)
{
	pid_t x = ((const struct relation *)a)->pid, y = ((const struct relation *)b)->pid;

	return (x > y) - (x < y);
}

static struct relation *relation_of(const struct relations *all, pid_t pid)
{
	const struct relation key = {.pid = pid};

	return all->cnt ? bsearch(&key, all->v, all->cnt, sizeof(key), by_pid) : NULL;
}

/* Marks one generation more a round, or several; each round marks at least one: it ends, also in a circle. */
static size_t mark(const struct relations *all)
{
	size_t cnt = 0;
	bool more = true;

	while (more) {
		more = false;
		for (size_t i = 0; i < all->cnt; i++) {
			const struct relation *parent = relation_of(all, all->v[i].parent);

			if (all->v[i].is_found || !parent || !parent->is_found)
				continue;
			all->v[i].is_found = more = true;
			cnt++;
		}
	}
	return cnt;
}

static bool is_given(const pid_t *of, size_t of_cnt, pid_t pid)
{
	for (size_t i = 0; i < of_cnt; i++)
		if (of[i] == pid)
			return true;
	return false;
}

static int collect(const struct relations *all, const pid_t *of, size_t of_cnt, size_t max, pid_t **found,
		   size_t *cnt)
{
	*found = max ? calloc(max, sizeof(**found)) : NULL;
	if (max && !*found)
		return -ENOMEM;
	for (size_t i = 0; i < all->cnt && *cnt < max; i++)
		if (all->v[i].is_found && !is_given(of, of_cnt, all->v[i].pid))
			(*found)[(*cnt)++] = all->v[i].pid;
	return 0;
}

int descendants_find(const pid_t *of, size_t of_cnt, pid_t **found, size_t *cnt, struct error *err)
{
	struct relations all = {0};
	int ret = read_all(&all);

	*found = NULL;
	*cnt = 0;
	if (!ret && all.cnt) {
		qsort(all.v, all.cnt, sizeof(*all.v), by_pid);
		for (size_t i = 0; i < of_cnt; i++) {
			struct relation *given = relation_of(&all, of[i]);

			if (given)
				given->is_found = true;
		}
		ret = collect(&all, of, of_cnt, mark(&all), found, cnt);
	}
	free(all.v);
	return ret ? error_set(err, ret, "cannot read whose children the processes in /proc are: %s",
			       strerror(-ret))
		   : 0;
}
