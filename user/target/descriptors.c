#include "target/descriptors.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/map.h"

#define LINK_MAX_BYTES 4096

const char *const descriptor_kind_names[DESCRIPTOR_KIND_CNT] = {
	[DESCRIPTOR_SOCKET] = "sockets", [DESCRIPTOR_PIPE] = "pipes",
	[DESCRIPTOR_FILE] = "files",     [DESCRIPTOR_DELETED] = "deleted files",
	[DESCRIPTOR_DEVICE] = "devices", [DESCRIPTOR_ANON] = "anon inodes",
	[DESCRIPTOR_OTHER] = "others",
};

static bool ends_in(const char *text, const char *tail)
{
	size_t len = strlen(text), tail_len = strlen(tail);

	return len >= tail_len && !strcmp(text + len - tail_len, tail);
}

enum descriptor_kind descriptor_kind_of(const char *link)
{
	if (!strncmp(link, "socket:[", 8))
		return DESCRIPTOR_SOCKET;
	if (!strncmp(link, "pipe:[", 6))
		return DESCRIPTOR_PIPE;
	if (!strncmp(link, "anon_inode:", 11))
		return DESCRIPTOR_ANON;
	if (link[0] != '/')
		return DESCRIPTOR_OTHER;
	if (!strncmp(link, "/dev/", 5) && strncmp(link, "/dev/shm/", 9) != 0)
		return DESCRIPTOR_DEVICE;
	return ends_in(link, " (deleted)") ? DESCRIPTOR_DELETED : DESCRIPTOR_FILE;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static bool was_open(const struct descriptors *before, uint64_t id)
{
	uint64_t cnt = before->cnt < DESCRIPTORS_MAX ? before->cnt : DESCRIPTORS_MAX;

	return before->ids && bsearch(&id, before->ids, cnt, sizeof(id), by_value);
}

/* Its number and what it is: a socket has an inode of its own, an epoll descriptor only its number. */
static uint64_t id_of(const char *number, const char *link)
{
	return map_hash(map_hash(0, number), link);
}

static int grow(struct descriptors *d, size_t *cap)
{
	if (d->cnt == *cap) {
		size_t more = *cap ? 2 * *cap : 256;
		uint64_t *ids = reallocarray(d->ids, more, sizeof(*ids));

		if (!ids)
			return -ENOMEM;
		d->ids = ids;
		*cap = more;
	}
	return 0;
}

/* Closed meanwhile: nothing. */
static int take(int folder, const char *number, const struct descriptors *before, struct descriptors *now,
		size_t *cap)
{
	char link[LINK_MAX_BYTES];
	ssize_t len = readlinkat(folder, number, link, sizeof(link) - 1);
	enum descriptor_kind kind;
	uint64_t id;

	if (len < 0)
		return 0;
	link[len] = '\0';
	if (grow(now, cap))
		return -ENOMEM;
	kind = descriptor_kind_of(link);
	id = id_of(number, link);
	now->ids[now->cnt++] = id;
	now->kind[kind]++;
	if (before && !was_open(before, id))
		now->fresh[kind]++;
	return 0;
}

int descriptors_read(pid_t pid, const struct descriptors *before, struct descriptors *now)
{
	struct dirent *entry;
	char path[64];
	size_t cap = 0;
	int result = 0;
	DIR *d;

	*now = (struct descriptors){0};
	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	d = opendir(path);
	if (!d)
		return errno == ENOENT ? -ESRCH : -errno;
	while (result == 0 && (entry = readdir(d))) {
		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		if (now->cnt == DESCRIPTORS_MAX) {
			now->cut = true;
			break;
		}
		result = take(dirfd(d), entry->d_name, before, now, &cap);
	}
	closedir(d);
	if (result != 0)
		descriptors_free(now);
	else if (now->cnt)
		qsort(now->ids, now->cnt, sizeof(*now->ids), by_value);
	return result;
}

void descriptors_free(struct descriptors *d)
{
	free(d->ids);
	*d = (struct descriptors){0};
}

uint64_t descriptors_limit(pid_t pid)
{
	char path[64], text[4096], *line;
	unsigned long long soft;

	snprintf(path, sizeof(path), "/proc/%d/limits", pid);
	if (file_read(AT_FDCWD, path, text, sizeof(text)) <= 0)
		return 0;
	line = strstr(text, "Max open files");
	if (!line)
		return 0;
	line += strlen("Max open files");
	line += strspn(line, " ");
	if (!strncmp(line, "unlimited", 9))
		return UINT64_MAX;
	return sscanf(line, "%llu", &soft) == 1 ? soft : 0;
}
