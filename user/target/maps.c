#include "target/maps.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/search.h"

#define MAPS_MAX (256UL << 20) /* bytes of text; vm.max_map_count allows far less by default */

/* Reads the whole file; a growing buffer, since /proc files have no size. */
static int read_all(int fd, char **text, size_t *len)
{
	size_t cap = 1 << 16, used = 0;
	char *buf = malloc(cap);

	while (buf) {
		ssize_t got = read(fd, buf + used, cap - used);

		if (got < 0 && errno != EINTR) {
			int err = -errno;

			free(buf);
			return err;
		}
		if (got == 0) {
			*text = buf;
			*len = used;
			return 0;
		}
		used += got > 0 ? (size_t)got : 0;
		if (used == cap) {
			char *more = cap < MAPS_MAX ? realloc(buf, cap * 2) : NULL;

			if (!more)
				break;
			buf = more;
			cap *= 2;
		}
	}
	free(buf);
	return -ENOMEM;
}

/* "start-end perms offset major:minor inode   name"; false for a line that is none. */
static bool parse_line(char *line, struct mapping *m)
{
	unsigned major, minor;
	char perms[5];
	int name = 0;

	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %x:%x %" SCNu64 "%n", &m->start, &m->end,
		   perms, &m->offset, &major, &minor, &m->inode, &name) != 7 ||
	    strlen(perms) != 4 || m->start >= m->end || (m->start | m->end) & 4095)
		return false;
	m->dev = makedev(major, minor);
	m->read = perms[0] == 'r';
	m->write = perms[1] == 'w';
	m->exec = perms[2] == 'x';
	m->shared = perms[3] == 's';
	m->name = line + name + strspn(line + name, " ");
	return true;
}

/* Takes text over: the names of the mappings point into it. */
static int parse_owned(char *text, size_t len, struct maps *maps)
{
	size_t lines = 1;

	*maps = (struct maps){0};
	for (size_t i = 0; i < len; i++)
		lines += text[i] == '\n';
	maps->v = calloc(lines + 1, sizeof(*maps->v));
	if (!maps->v) {
		free(text);
		return -ENOMEM;
	}
	for (char *line = text, *end = text + len; line < end;) {
		char *nl = memchr(line, '\n', (size_t)(end - line));
		struct mapping m = {0};

		if (!nl)
			break;
		*nl = '\0';
		if (parse_line(line, &m) && (!maps->cnt || m.start >= maps->v[maps->cnt - 1].end))
			maps->v[maps->cnt++] = m;
		line = nl + 1;
	}
	maps->text = text;
	return 0;
}

int maps_parse(const char *text, size_t len, struct maps *maps)
{
	char *copy = malloc(len + 2);

	*maps = (struct maps){0};
	if (!copy)
		return -ENOMEM;
	memcpy(copy, text, len);
	copy[len] = '\n'; /* a last line without its end */
	copy[len + 1] = '\0';
	return parse_owned(copy, len + 1, maps);
}

void maps_set_root(struct maps *maps, const char *root)
{
	size_t len = strlen(root);

	for (size_t i = 0; len > 1 && i < maps->cnt; i++) {
		const char *name = maps->v[i].name;

		if (name && !strncmp(name, root, len) && name[len] == '/')
			maps->v[i].name = name + len;
	}
}

/* Of a chroot: "/" where it is not one, also in a mount namespace of its own. */
static void read_root(pid_t pid, char root[PATH_MAX])
{
	char path[32];
	ssize_t len;

	snprintf(path, sizeof(path), "/proc/%d/root", pid);
	len = readlink(path, root, PATH_MAX - 1);
	root[len > 0 ? len : 0] = '\0';
}

int maps_read(pid_t pid, struct maps *maps, struct error *err)
{
	char path[64], root[PATH_MAX], *text = NULL;
	size_t len = 0;
	int fd, rc;

	*maps = (struct maps){0};
	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	rc = fd < 0 ? -errno : read_all(fd, &text, &len);
	if (fd >= 0)
		close(fd);
	if (rc == -ENOENT)
		rc = -ESRCH;
	if (rc)
		return error_set(err, rc, "cannot read %s: %s", path, strerror(-rc));
	rc = parse_owned(text, len, maps);
	if (rc)
		return rc;
	read_root(pid, root);
	maps_set_root(maps, root);
	return 0;
}

void maps_free(struct maps *maps)
{
	free(maps->text);
	free(maps->v);
	*maps = (struct maps){0};
}

static uint64_t end_of(const void *v, size_t i)
{
	return ((const struct mapping *)v)[i].end;
}

const struct mapping *maps_find(const struct maps *maps, uint64_t addr)
{
	size_t i = search_upto(maps->v, maps->cnt, end_of, addr);

	return i < maps->cnt && maps->v[i].start <= addr ? &maps->v[i] : NULL;
}

bool mapping_is_anon_rw(const struct mapping *m)
{
	return !m->inode && m->read && m->write && !m->shared &&
	       (!m->name[0] || !strcmp(m->name, "[heap]") || !strncmp(m->name, "[anon", 5));
}
