/* Where the process lives: cgroup, unit, and who may kill it. */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "base/file.h"
#include "check/gather.h"

#define DEPTH_MAX 32

static bool is_running(const struct cgroup_tree *tree, const char *service)
{
	struct unit *found = malloc(UNITS_MAX * sizeof(*found));
	size_t cnt = 0;

	if (found)
		unit_find_all(tree, service, found, &cnt, NULL);
	free(found);
	return cnt > 0;
}

static bool says_kill(const char *root, const struct unit *unit, const char *setting, bool *found_file)
{
	char value[UNIT_VALUE_MAX];

	return unit_setting(root, unit, setting, value, found_file) && !strcmp(value, "kill");
}

/* Whether the unit itself, or a slice above it, is set to be watched by systemd-oomd. */
static void find_killer(struct check_facts *facts, const char *root)
{
	static const char *const settings[] = {"ManagedOOMMemoryPressure", "ManagedOOMSwap"};
	char path[CGROUP_PATH_MAX], *slash;
	struct unit unit;
	bool found_file;

	memcpy(path, facts->unit.path, sizeof(path));
	for (unsigned depth = 0; depth < DEPTH_MAX && path[0]; depth++) {
		bool is_unit = unit_of_path(path, &unit) && !strcmp(unit.path, path);

		for (size_t i = 0; is_unit && i < sizeof(settings) / sizeof(settings[0]); i++) {
			bool kills = says_kill(root, &unit, settings[i], &found_file);

			if (depth == 0)
				facts->oomd.file_found |= found_file;
			if (!kills)
				continue;
			snprintf(facts->oomd.setting, sizeof(facts->oomd.setting), "%s", settings[i]);
			memcpy(facts->oomd.setting_unit, unit.name, sizeof(unit.name));
			return;
		}
		slash = strrchr(path, '/');
		if (!slash)
			break;
		*slash = '\0';
	}
}

/* ManagedOOMPreference= is an attribute of the cgroup's folder (src/core/cgroup.c of systemd 252). */
static bool has_mark(const char *folder, const char *name)
{
	char value[8] = "";

	return getxattr(folder, name, value, sizeof(value) - 1) > 0 && value[0] == '1';
}

static void find_unit(struct check_facts *facts, const struct cgroup_tree *tree, const char *root)
{
	char folder[CGROUP_PATH_MAX];

	facts->has_unit = unit_of_path(facts->cgroup.unit_path, &facts->unit);
	if (!facts->has_unit)
		return;
	facts->oomd.running = is_running(tree, "systemd-oomd.service");
	find_killer(facts, root);
	if (!cgroup_folder(&tree->unified, facts->unit.path, folder))
		return;
	facts->oomd.omit = has_mark(folder, "user.oomd_omit");
	facts->oomd.avoid = has_mark(folder, "user.oomd_avoid");
}

static void read_score(struct check_facts *facts, const char *proc)
{
	char name[48], text[32], *end;
	long score;

	facts->oom_score_adj = INT_MIN;
	snprintf(name, sizeof(name), "%d/oom_score_adj", facts->pid);
	if (file_read_in(proc, name, text, sizeof(text)) <= 0)
		return;
	score = strtol(text, &end, 10);
	if (end != text && score >= -1000 && score <= 1000)
		facts->oom_score_adj = (int)score;
}

void gather_cgroup(struct check_facts *facts, const char *proc, const char *root)
{
	struct cgroup_tree tree;

	read_score(facts, proc);
	if (cgroup_tree_open(proc, &tree, NULL) != 0 ||
	    cgroup_of_process(&tree, facts->pid, &facts->cgroup, NULL) != 0)
		return;
	facts->in_cgroup = true;
	cgroup_memory_read(&facts->cgroup, &facts->memory);
	find_unit(facts, &tree, root);
}
