#include "target/unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEPTH_MAX 16

/* Kinds of units that have processes, and so cgroups. */
static const char *const suffixes[] = {".service", ".scope", ".slice", ".socket", ".mount", ".swap", NULL};

static const char *suffix_of(const char *name)
{
	const char *dot = strrchr(name, '.');

	for (const char *const *suffix = suffixes; dot && dot != name && *suffix; suffix++)
		if (!strcmp(dot, *suffix))
			return *suffix;
	return NULL;
}

/* systemd.unit(5): what a unit's name is made of. */
static bool is_name(const char *name)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_.\\@";
	size_t len = strspn(name, allowed);

	return len && !name[len] && len < UNIT_NAME_MAX;
}

/* A cgroup whose name could be mistaken for one of the kernel's files has '_' before it. */
static const char *unescape(const char *component)
{
	return component[0] == '_' ? component + 1 : component;
}

/* "user@1000.service" → 1000; −1: another name. */
static int64_t manager_of(const char *name)
{
	unsigned uid;
	int end = 0;

	if (sscanf(name, "user@%u.service%n", &uid, &end) != 1 || !end || name[end])
		return -1;
	return uid;
}

bool unit_of_path(const char *path, struct unit *unit)
{
	int64_t manager = -1;
	bool is_slice = true;

	*unit = (struct unit){.user = -1};
	for (const char *at = path + strspn(path, "/"), *next; *at; at = next) {
		char component[UNIT_NAME_MAX + 1];
		size_t len = strcspn(at, "/");
		const char *name, *suffix;

		next = at + len + strspn(at + len, "/");
		if (len >= sizeof(component) || (size_t)(at - path) + len >= sizeof(unit->path))
			continue;
		memcpy(component, at, len);
		component[len] = '\0';
		name = unescape(component);
		suffix = suffix_of(name);
		if (!suffix || !is_name(name) || (!strcmp(suffix, ".slice") && !is_slice))
			continue;
		is_slice = !strcmp(suffix, ".slice");
		unit->user = manager;
		memcpy(unit->name, name, strlen(name) + 1); /* is_name: shorter than UNIT_NAME_MAX */
		snprintf(unit->path, sizeof(unit->path), "%.*s", (int)((size_t)(at - path) + len), path);
		/* What follows is of that user's manager, its slices too. */
		if (manager_of(name) >= 0) {
			manager = manager_of(name);
			is_slice = true;
		}
	}
	return unit->name[0] != '\0';
}

/* ---- by name ---- */

struct search {
	const char *name;
	struct unit *found;
	size_t cnt;
	unsigned folders;
};

static void take_found(struct search *s, const char *path)
{
	struct unit unit;

	/* A slice's folder below a service's is no unit of this system's managers: a container's. */
	if (s->cnt == UNITS_MAX || !unit_of_path(path, &unit) || strcmp(unit.path, path) != 0)
		return;
	s->found[s->cnt++] = unit;
}

/* Takes the descriptor over. path[CGROUP_PATH_MAX] is the cgroup's, without the last slash; left as it was.
 */
static int look_through(struct search *s, int fd, char *path, unsigned depth)
{
	size_t len = strlen(path);
	struct dirent *entry;
	DIR *d = fdopendir(fd);
	int result = 0;

	if (!d) {
		close(fd);
		return 0;
	}
	while (result == 0 && (entry = readdir(d))) {
		int child;

		if (entry->d_name[0] == '.' || (entry->d_type != DT_DIR && entry->d_type != DT_UNKNOWN) ||
		    len + 1 + strlen(entry->d_name) >= CGROUP_PATH_MAX)
			continue;
		child = openat(dirfd(d), entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		if (child < 0)
			continue;
		snprintf(path + len, CGROUP_PATH_MAX - len, "/%s", entry->d_name);
		if (!strcmp(unescape(entry->d_name), s->name))
			take_found(s, path);
		if (++s->folders > CGROUP_FOLDERS_MAX) {
			result = -E2BIG;
			close(child);
		} else if (depth < DEPTH_MAX) {
			result = look_through(s, child, path, depth + 1);
		} else {
			close(child);
		}
		path[len] = '\0';
	}
	closedir(d);
	return result;
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct unit *)a)->path, ((const struct unit *)b)->path);
}

int unit_find_all(const struct cgroup_tree *tree, const char *name, struct unit *found, size_t *cnt,
		  struct error *err)
{
	const struct cgroup_hierarchy *const all[] = {&tree->unified, &tree->systemd_v1, &tree->memory_v1};
	char full[UNIT_NAME_MAX + 16];
	struct search s = {.name = full, .found = found};

	*cnt = 0;
	if (!is_name(name) || strlen(name) + strlen(".service") >= UNIT_NAME_MAX)
		return error_set(err, -EINVAL, "'%.100s' is no name of a unit, as redis-server.service",
				 name);
	snprintf(full, sizeof(full), "%s%s", name, suffix_of(name) ? "" : ".service");
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]) && !s.cnt; i++) {
		char path[CGROUP_PATH_MAX];
		int fd = all[i]->mount[0] ? open(all[i]->mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

		if (fd < 0)
			continue;
		snprintf(path, sizeof(path), "%s", strcmp(all[i]->root, "/") != 0 ? all[i]->root : "");
		if (look_through(&s, fd, path, 0) != 0)
			return error_set(err, -E2BIG, "there are too many cgroups to look for unit %s", full);
	}
	qsort(found, s.cnt, sizeof(*found), by_path);
	*cnt = s.cnt;
	return 0;
}

#define NAMED_MAX 3 /* of several units: so many are named */

static int say_several(const char *name, const struct unit *found, size_t cnt, struct error *err)
{
	char list[ERROR_TEXT_MAX];
	size_t used = 0;

	for (size_t i = 0; i < cnt && i < NAMED_MAX && used < sizeof(list); i++)
		used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%.80s", i ? ", " : "",
					 found[i].path);
	return error_set(err, -ENOTUNIQ, "%zu units are named %.60s: choose by cgroup: %s%s", cnt, name, list,
			 cnt > NAMED_MAX ? ", …" : "");
}

int unit_find(const struct cgroup_tree *tree, const char *name, struct unit *unit, struct error *err)
{
	struct unit *found = malloc(UNITS_MAX * sizeof(*found));
	size_t cnt;
	int result;

	if (!found)
		return error_set(err, -ENOMEM, "no memory to look for unit %s", name);
	result = unit_find_all(tree, name, found, &cnt, err);
	if (result == 0 && cnt == 0)
		result = error_set(err, -ENOENT,
				   "no unit %.100s%s runs here (systemctl list-units tells names)", name,
				   suffix_of(name) ? "" : ".service");
	if (result == 0 && cnt > 1)
		result = say_several(name, found, cnt, err);
	if (result == 0)
		*unit = found[0];
	free(found);
	return result;
}
