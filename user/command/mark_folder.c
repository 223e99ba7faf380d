#include "command/mark_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 64

static int address_of(const char *folder, const char *name, struct sockaddr_un *address)
{
	int len;

	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	len = snprintf(address->sun_path, sizeof(address->sun_path), "%s/%s", folder, name);
	return len < (int)sizeof(address->sun_path) ? 0 : -ENAMETOOLONG;
}

static int new_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd < 0 ? -errno : fd;
}

/* A connection to whoever listens there, or −errno: −ECONNREFUSED where nobody does any more. */
static int connect_to(const char *folder, const char *name)
{
	struct sockaddr_un address;
	int fd = address_of(folder, name, &address) ? -ENAMETOOLONG : new_socket();
	int ret;

	if (fd < 0)
		return fd;
	if (!connect(fd, (struct sockaddr *)&address, sizeof(address)))
		return fd;
	ret = -errno;
	close(fd);
	return ret;
}

static bool is_pid(const char *name)
{
	return name[0] && strspn(name, "0123456789") == strlen(name);
}

/* Another's folder could be one in which our socket is replaced. */
static int check_folder(const char *folder, struct error *err)
{
	struct stat st;

	if (mkdir(folder, 0755) && errno != EEXIST)
		return error_set(err, -errno, "cannot make %s: %s", folder, strerror(errno));
	if (lstat(folder, &st))
		return error_set(err, -errno, "cannot look at %s: %s", folder, strerror(errno));
	if (!S_ISDIR(st.st_mode) || (st.st_uid != 0 && st.st_uid != geteuid()) ||
	    (st.st_mode & (S_IWGRP | S_IWOTH)))
		return error_set(err, -EPERM, "%s is no folder that only we and root may write in", folder);
	return 0;
}

static void remove_stale(const char *folder)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	int fd;

	while (dir && (entry = readdir(dir))) {
		fd = is_pid(entry->d_name) ? connect_to(folder, entry->d_name) : -EINVAL;
		if (fd == -ECONNREFUSED)
			unlinkat(dirfd(dir), entry->d_name, 0);
		else if (fd >= 0)
			close(fd);
	}
	if (dir)
		closedir(dir);
}

/* Bound under a name that nobody looks for, until it listens: one that does not is taken for stale. */
static int bind_and_listen(int fd, const char *folder)
{
	struct sockaddr_un unready, address;
	char name[16], hidden[20];

	snprintf(name, sizeof(name), "%d", getpid());
	snprintf(hidden, sizeof(hidden), ".%s", name);
	if (address_of(folder, hidden, &unready) || address_of(folder, name, &address))
		return -ENAMETOOLONG;
	unlink(unready.sun_path); /* of one that had our PID */
	if (!bind(fd, (struct sockaddr *)&unready, sizeof(unready)) && !chmod(unready.sun_path, 0666) &&
	    !listen(fd, BACKLOG) && !rename(unready.sun_path, address.sun_path))
		return 0;
	return -errno;
}

int mark_folder_listen(const char *folder, struct error *err)
{
	int fd, ret = check_folder(folder, err);

	if (ret)
		return ret;
	remove_stale(folder);
	fd = new_socket();
	ret = fd < 0 ? fd : bind_and_listen(fd, folder);
	if (!ret)
		return fd;
	if (fd >= 0)
		close(fd);
	return error_set(err, ret, "cannot listen in %s: %s", folder, strerror(-ret));
}

void mark_folder_leave(const char *folder)
{
	struct sockaddr_un address;
	char name[16];

	snprintf(name, sizeof(name), "%d", getpid());
	if (!address_of(folder, name, &address))
		unlink(address.sun_path);
}

unsigned mark_folder_each(const char *folder, bool (*fn)(int fd, void *arg), void *arg)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	unsigned cnt = 0;
	bool more = true;

	while (dir && more && (entry = readdir(dir))) {
		int fd = is_pid(entry->d_name) ? connect_to(folder, entry->d_name) : -EINVAL;

		if (fd < 0)
			continue;
		cnt++;
		more = fn(fd, arg);
	}
	if (dir)
		closedir(dir);
	return cnt;
}
