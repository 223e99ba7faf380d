#include "target/overlay.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "target/root.h"

#define MOUNTS_MAX 65536
#define LAYERS_MAX 500 /* fs/overlayfs: OVL_MAX_STACK */

/* Where a mapping's file is on its overlay, and what that was mounted from. */
struct place {
	char path[PATH_MAX]; /* from the overlay's own root on */
	char *options;       /* owned */
};

/* mountinfo writes blanks and the like as \040. */
static void unescape_octal(char *text)
{
	char *to = text;

	for (const char *at = text; *at; to++) {
		unsigned code;

		if (*at == '\\' && sscanf(at + 1, "%3o", &code) == 1 && code < 256 && strlen(at) >= 4) {
			*to = (char)code;
			at += 4;
		} else {
			*to = *at++;
		}
	}
	*to = '\0';
}

/* What follows prefix, a whole number of components of path; NULL if path does not begin so. */
static const char *below(const char *path, const char *prefix)
{
	size_t len = strcmp(prefix, "/") != 0 ? strlen(prefix) : 0;

	return !strncmp(path, prefix, len) && path[len] == '/' ? path + len : NULL;
}

/* "36 35 98:0 /root /mount options… - type source super-options" (proc(5)) */
static bool take_line(char *line, const struct mapping *m, struct place *place)
{
	char *tail = strstr(line, " - overlay "), *save = NULL, *root, *mount, *options;
	unsigned major, minor;
	const char *rest;

	if (!tail || sscanf(line, "%*u %*u %u:%u", &major, &minor) != 2 || makedev(major, minor) != m->dev)
		return false;
	*tail = '\0';
	strtok_r(line, " ", &save);
	strtok_r(NULL, " ", &save);
	strtok_r(NULL, " ", &save);
	root = strtok_r(NULL, " ", &save);
	mount = strtok_r(NULL, " ", &save);
	options = strchr(tail + strlen(" - overlay "), ' ');
	if (!root || !mount || !options)
		return false;
	unescape_octal(root);
	unescape_octal(mount);
	rest = below(m->name, mount);
	if (!rest || snprintf(place->path, sizeof(place->path), "%s%s", strcmp(root, "/") ? root : "",
			      rest) >= (int)sizeof(place->path))
		return false;
	options[strcspn(options, "\n")] = '\0';
	place->options = strdup(options + 1);
	return place->options != NULL;
}

static bool find_place(pid_t pid, const struct mapping *m, struct place *place)
{
	char path[32], *line = NULL;
	bool found = false;
	size_t size = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/mountinfo", pid);
	f = fopen(path, "re");
	for (unsigned i = 0; f && !found && i < MOUNTS_MAX && getline(&line, &size, f) > 0; i++)
		found = take_line(line, m, place);
	free(line);
	if (f)
		fclose(f);
	return found;
}

/* The folder at *at of "a:b", where a backslash takes the next character as it is; *at moves behind it. */
static void take_folder(const char **at, char *folder)
{
	const char *from = *at;

	for (; *from && *from != ':'; from++) {
		from += *from == '\\' && from[1];
		*folder++ = *from;
	}
	*folder = '\0';
	*at = from + (*from == ':');
}

/*
 * One option, "lowerdir=a:b" or, of mounts by fsconfig(2), "lowerdir+=a", which stands for one folder as it
 * is. The number-th folder of those not yet counted in *seen; "" if it has none of that number.
 */
static void folder_of_option(char *option, unsigned number, unsigned *seen, char *folder)
{
	const char *at;

	unescape_octal(option);
	folder[0] = '\0';
	if (!strncmp(option, "lowerdir+=", 10)) {
		if ((*seen)++ == number)
			memcpy(folder, option + 10, strlen(option + 10) + 1);
		return;
	}
	if (strncmp(option, "lowerdir=", 9) != 0)
		return;
	for (at = option + 9; *at && *seen <= number; (*seen)++)
		take_folder(&at, folder);
	if (*seen != number + 1)
		folder[0] = '\0';
}

int overlay_lower_folder(const char *options, unsigned number, char *folder, size_t size)
{
	char *copy = strdup(options), *found = malloc(strlen(options) + 1), *save = NULL;
	unsigned seen = 0;
	int ret = -ENOENT;

	for (char *option = copy && found ? strtok_r(copy, ",", &save) : NULL; option && seen <= number;
	     option = strtok_r(NULL, ",", &save)) {
		folder_of_option(option, number, &seen, found);
		if (found[0] && snprintf(folder, size, "%s", found) < (int)size)
			ret = 0;
	}
	free(found);
	free(copy);
	return ret;
}

/* It is the mapped file's if it has the number that the overlay shows for it, which comes from below. */
static int open_in(const char *folder, const char *path, uint64_t inode, struct stat *st)
{
	int dir = folder[0] == '/' ? open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	int fd = dir < 0 ? -ENOENT : root_open_file(dir, path, st);

	if (dir >= 0)
		close(dir);
	if (fd < 0 || st->st_ino == inode)
		return fd < 0 ? -ENOENT : fd;
	close(fd);
	return -ENOENT;
}

int overlay_open_lower(pid_t pid, const struct mapping *m, struct stat *st)
{
	struct place place;
	char folder[PATH_MAX];
	int fd = -ENOENT;

	if (!find_place(pid, m, &place))
		return -ENOENT;
	for (unsigned i = 0; fd < 0 && i < LAYERS_MAX; i++) {
		if (overlay_lower_folder(place.options, i, folder, sizeof(folder)))
			break;
		fd = open_in(folder, place.path, m->inode, st);
	}
	free(place.options);
	return fd;
}
