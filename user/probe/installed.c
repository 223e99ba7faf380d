#include "probe/installed.h"

#include <dirent.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "probe/plan.h"

#define ENTRY_MAX 65536 /* of one directory */

void installed_forget(struct installed *installed)
{
	while (installed->dir_cnt)
		free(installed->dirs[--installed->dir_cnt]);
	free(installed->dirs);
	*installed = (struct installed){0};
}

/* Files before links to them: a file's own name is the one that maps will show. */
static void scan(pid_t pid, const char *dir, void (*found)(const char *dir, const char *name, void *arg),
		 void *arg)
{
	char path[PATH_MAX];
	struct dirent *entry;
	DIR *d;

	if (snprintf(path, sizeof(path), "/proc/%d/root%s", pid, dir) >= (int)sizeof(path))
		return;
	d = opendir(path);
	for (int links = 0; d && links < 2; links++) {
		rewinddir(d);
		for (unsigned i = 0; i < ENTRY_MAX && (entry = readdir(d)); i++)
			if (plan_wants_file(entry->d_name) && (entry->d_type == DT_LNK) == links)
				found(dir, entry->d_name, arg);
	}
	if (d)
		closedir(d);
}

static bool is_known(const struct installed *installed, const char *path, size_t len)
{
	for (size_t i = 0; i < installed->dir_cnt; i++)
		if (strlen(installed->dirs[i]) == len && !memcmp(installed->dirs[i], path, len))
			return true;
	return false;
}

void installed_look(struct installed *installed, pid_t pid, const char *library,
		    void (*found)(const char *dir, const char *name, void *arg), void *arg)
{
	const char *slash = strrchr(library, '/');
	size_t len = (size_t)(slash - library);
	char **dirs;

	if (!len || !strstr(slash, ".so") || is_known(installed, library, len))
		return;
	if (installed->dir_cnt == installed->dir_cap) {
		dirs = realloc(installed->dirs, (installed->dir_cap + 16) * sizeof(*dirs));
		if (!dirs)
			return;
		installed->dirs = dirs;
		installed->dir_cap += 16;
	}
	installed->dirs[installed->dir_cnt] = strndup(library, len);
	if (installed->dirs[installed->dir_cnt])
		scan(pid, installed->dirs[installed->dir_cnt++], found, arg);
}
