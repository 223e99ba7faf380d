#include "target/pid_namespace.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

#define LEVELS_MAX 33 /* include/linux/pid_namespace.h: MAX_PID_NS_LEVEL, and the first */

/* A process's numbers, ours first, that of its own namespace last. */
struct numbers {
	pid_t v[LEVELS_MAX];
	int cnt;
};

static bool read_numbers(pid_t pid, struct numbers *numbers)
{
	char path[32], text[4096], *at, *end;
	long number;

	numbers->cnt = 0;
	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	if (file_read(AT_FDCWD, path, text, sizeof(text)) <= 0)
		return false;
	at = strstr(text, "\nNSpid:");
	for (at = at ? at + strlen("\nNSpid:") : ""; *at == '\t' && numbers->cnt < LEVELS_MAX; at = end) {
		number = strtol(at + 1, &end, 10);
		if (end == at + 1)
			break;
		numbers->v[numbers->cnt++] = (pid_t)number;
	}
	if (!numbers->cnt) /* a kernel without namespaces */
		numbers->v[numbers->cnt++] = pid;
	return true;
}

static int open_namespace(pid_t pid)
{
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/ns/pid", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static bool is_namespace(int fd, const struct stat *wanted)
{
	struct stat st;

	return !fstat(fd, &st) && st.st_dev == wanted->st_dev && st.st_ino == wanted->st_ino;
}

/* Whether the namespace so many levels around pid's own is the wanted one. */
static bool is_within(pid_t pid, int levels, const struct stat *wanted)
{
	int fd = open_namespace(pid), around;
	bool is;

	for (; fd >= 0 && levels > 0; levels--) {
		around = ioctl(fd, NS_GET_PARENT);
		close(fd);
		fd = around;
	}
	is = fd >= 0 && is_namespace(fd, wanted);
	if (fd >= 0)
		close(fd);
	return is;
}

/* The process that has that number at that level of nesting, where the wanted namespace is. */
static pid_t search(pid_t pid, int level, const struct stat *wanted)
{
	DIR *proc = opendir("/proc");
	struct numbers numbers;
	struct dirent *entry;
	pid_t found = 0, at;

	while (proc && !found && (entry = readdir(proc))) {
		at = atoi(entry->d_name);
		if (at > 0 && read_numbers(at, &numbers) && numbers.cnt > level && numbers.v[level] == pid &&
		    is_within(at, numbers.cnt - 1 - level, wanted))
			found = at;
	}
	if (proc)
		closedir(proc);
	return found;
}

int pid_namespace_find(pid_t member, pid_t pid, pid_t *found, struct error *err)
{
	struct numbers numbers;
	struct stat wanted;
	int fd, ret;

	if (!read_numbers(member, &numbers))
		return error_set(err, -ESRCH, "there is no process %d", member);
	fd = open_namespace(member);
	ret = fd < 0 ? fd : fstat(fd, &wanted) ? -errno : 0;
	if (fd >= 0)
		close(fd);
	if (ret == -ENOENT) /* it has ended meanwhile, or is a zombie */
		return error_set(err, -ESRCH, "process %d has ended: its namespaces are gone", member);
	if (ret)
		return error_set(err, -EACCES,
				 "cannot look at the PID namespace of process %d: %s; run with sudo", member,
				 strerror(-ret));
	*found = search(pid, numbers.cnt - 1, &wanted);
	if (!*found)
		return error_set(err, -ESRCH, "there is no process %d in the PID namespace of process %d",
				 pid, member);
	return 0;
}

bool pid_namespace_is_own(pid_t pid)
{
	struct stat own, other;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/ns/pid", pid);
	return stat("/proc/self/ns/pid", &own) || stat(path, &other) ||
	       (own.st_dev == other.st_dev && own.st_ino == other.st_ino);
}

int pid_namespace_own(pid_t pid, pid_t *own)
{
	struct numbers numbers;

	if (!read_numbers(pid, &numbers))
		return -ESRCH;
	*own = numbers.v[numbers.cnt - 1];
	return 0;
}
