/* A unit's file and its drop-ins, in the order in which systemd reads them (systemd.unit(5)). */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "target/unit.h"

#define FILE_MAX 65536
#define FOLDERS_MAX 16
#define DROPINS_MAX 128
#define NAMES_MAX                                                                                            \
	16 /* drop-in folders that one unit has: its own, its template's, its prefixes', its kind's */

/* src/libsystemd/sd-path and src/basic/path-lookup.c of systemd 252; the first that has a file wins. */
static const char *const system_folders[] = {
	"/etc/systemd/system.control", "/run/systemd/system.control",
	"/run/systemd/transient",      "/run/systemd/generator.early",
	"/etc/systemd/system",         "/etc/systemd/system.attached",
	"/run/systemd/system",         "/run/systemd/system.attached",
	"/run/systemd/generator",      "/usr/local/lib/systemd/system",
	"/usr/lib/systemd/system",     "/lib/systemd/system",
	"/run/systemd/generator.late", NULL,
};

/* %h: the user's home, %t: its runtime folder. */
static const char *const user_folders[] = {
	"%h/.config/systemd/user.control",
	"%t/systemd/user.control",
	"%t/systemd/transient",
	"%h/.config/systemd/user",
	"/etc/systemd/user",
	"%t/systemd/user",
	"/run/systemd/user",
	"%h/.local/share/systemd/user",
	"/usr/local/share/systemd/user",
	"/usr/share/systemd/user",
	"/usr/local/lib/systemd/user",
	"/usr/lib/systemd/user",
	NULL,
};

struct folders {
	char v[FOLDERS_MAX][PATH_MAX];
	size_t cnt;
};

struct dropin {
	char name[NAME_MAX + 1];
	char path[PATH_MAX];
};

struct dropins {
	struct dropin *v;
	size_t cnt;
};

static void find_home(int64_t uid, char *home, size_t size)
{
	char text[4096];
	struct passwd entry, *found = NULL;

	home[0] = '\0';
	if (!getpwuid_r((uid_t)uid, &entry, text, sizeof(text), &found) && found)
		snprintf(home, size, "%s", found->pw_dir);
}

static void list_folders(const char *root, const struct unit *unit, struct folders *folders)
{
	const char *const *names = unit->user < 0 ? system_folders : user_folders;
	char home[PATH_MAX / 2] = "", runtime[64];

	if (unit->user >= 0)
		find_home(unit->user, home, sizeof(home));
	snprintf(runtime, sizeof(runtime), "/run/user/%lld", (long long)unit->user);
	folders->cnt = 0;
	for (; *names && folders->cnt < FOLDERS_MAX; names++) {
		const char *base = **names != '%' ? "" : (*names)[1] == 'h' ? home : runtime;
		const char *rest = **names != '%' ? *names : *names + 2;

		if (**names == '%' && !*base)
			continue;
		if (snprintf(folders->v[folders->cnt], PATH_MAX, "%s%s%s", root, base, rest) < PATH_MAX)
			folders->cnt++;
	}
}

/* "foo@bar.service" → "foo@.service"; false for a unit without instance. */
static bool template_of(const char *name, char template[UNIT_NAME_MAX])
{
	const char *at = strchr(name, '@'), *dot = strrchr(name, '.');

	if (!at || !dot || dot <= at + 1)
		return false;
	snprintf(template, UNIT_NAME_MAX, "%.*s%s", (int)(at + 1 - name), name, dot);
	return true;
}

/* The last value that the text gives the setting, if any. An empty one resets. */
static bool scan(const char *text, const char *setting, char value[UNIT_VALUE_MAX])
{
	size_t len = strlen(setting);
	bool found = false;

	for (const char *line = text; line; line = strchr(line, '\n'), line += line ? 1 : 0) {
		const char *at = line + strspn(line, " \t"), *end;

		if (strncmp(at, setting, len) != 0)
			continue;
		at += len;
		at += strspn(at, " \t");
		if (*at++ != '=')
			continue;
		at += strspn(at, " \t");
		end = at + strcspn(at, "\n");
		while (end > at && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r'))
			end--;
		snprintf(value, UNIT_VALUE_MAX, "%.*s", (int)(end - at), at);
		found = true;
	}
	return found;
}

/* Whether there is such a file; its value, if it gives one, replaces the one before. */
static bool read_file(const char *path, const char *setting, char value[UNIT_VALUE_MAX])
{
	char *text = malloc(FILE_MAX);
	bool there = text && file_read(AT_FDCWD, path, text, FILE_MAX) >= 0;

	if (there)
		scan(text, setting, value);
	free(text);
	return there;
}

/* The first folder that has the file: it hides those in the folders behind. */
static bool read_fragment(const struct folders *folders, const char *name, const char *setting,
			  char value[UNIT_VALUE_MAX])
{
	char path[PATH_MAX];

	for (size_t i = 0; i < folders->cnt; i++)
		if (snprintf(path, sizeof(path), "%s/%s", folders->v[i], name) < (int)sizeof(path) &&
		    read_file(path, setting, value))
			return true;
	return false;
}

static void add_dropin(struct dropins *dropins, const char *folder, const char *name)
{
	size_t len = strlen(name);
	struct dropin *d = &dropins->v[dropins->cnt];

	if (len < 6 || strcmp(name + len - 5, ".conf") != 0 || dropins->cnt == DROPINS_MAX)
		return;
	for (size_t i = 0; i < dropins->cnt; i++)
		if (!strcmp(dropins->v[i].name, name))
			return; /* hidden by one of the same name in a folder before */
	if (snprintf(d->path, sizeof(d->path), "%s/%s", folder, name) >= (int)sizeof(d->path))
		return;
	snprintf(d->name, sizeof(d->name), "%s", name);
	dropins->cnt++;
}

static void list_dropins(const struct folders *folders, const char *name, struct dropins *dropins)
{
	char folder[PATH_MAX];

	for (size_t i = 0; i < folders->cnt; i++) {
		struct dirent *entry;
		DIR *d;

		if (snprintf(folder, sizeof(folder), "%s/%s.d", folders->v[i], name) >= (int)sizeof(folder))
			continue;
		d = opendir(folder);
		while (d && (entry = readdir(d)))
			add_dropin(dropins, folder, entry->d_name);
		if (d)
			closedir(d);
	}
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct dropin *)a)->name, ((const struct dropin *)b)->name);
}

/* "a-b-c.service": also those of a-b-.service and a-.service; of every unit: those of service. */
static void list_prefixes(const struct folders *folders, const char *name, struct dropins *dropins)
{
	const char *dot = strrchr(name, '.');
	char prefix[UNIT_NAME_MAX];
	int len = (int)(dot - name);

	for (unsigned i = 0; i < NAMES_MAX && len > 1; i++) {
		for (len--; len > 0 && name[len - 1] != '-'; len--)
			;
		if (len <= 0)
			break;
		snprintf(prefix, sizeof(prefix), "%.*s%s", len, name, dot);
		list_dropins(folders, prefix, dropins);
	}
	list_dropins(folders, dot + 1, dropins);
}

static void read_dropins(const struct folders *folders, const struct unit *unit, const char *setting,
			 char value[UNIT_VALUE_MAX], bool *found_file)
{
	struct dropins dropins = {.v = calloc(DROPINS_MAX, sizeof(*dropins.v))};
	char template[UNIT_NAME_MAX];

	if (!dropins.v)
		return;
	list_dropins(folders, unit->name, &dropins);
	if (template_of(unit->name, template))
		list_dropins(folders, template, &dropins);
	list_prefixes(folders, unit->name, &dropins);
	qsort(dropins.v, dropins.cnt, sizeof(*dropins.v), by_name);
	for (size_t i = 0; i < dropins.cnt; i++)
		*found_file |= read_file(dropins.v[i].path, setting, value);
	free(dropins.v);
}

bool unit_setting(const char *root, const struct unit *unit, const char *setting, char value[UNIT_VALUE_MAX],
		  bool *found_file)
{
	struct folders *folders = malloc(sizeof(*folders));
	char template[UNIT_NAME_MAX];

	value[0] = '\0';
	*found_file = false;
	if (!folders || !strrchr(unit->name, '.')) {
		free(folders);
		return false;
	}
	list_folders(root, unit, folders);
	*found_file = read_fragment(folders, unit->name, setting, value);
	if (!*found_file && template_of(unit->name, template))
		*found_file = read_fragment(folders, template, setting, value);
	read_dropins(folders, unit, setting, value, found_file);
	free(folders);
	return value[0] != '\0';
}
