#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

ssize_t file_read(int dir, const char *path, char *text, size_t size)
{
	int fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	ssize_t got = 0;
	size_t used = 0;
	struct stat st;

	text[0] = '\0';
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		close(fd);
		return -EINVAL;
	}
	while (used < size - 1 && (got = read(fd, text + used, size - 1 - used)) > 0)
		used += (size_t)got;
	got = got < 0 && !used ? -errno : (ssize_t)used;
	close(fd);
	text[used] = '\0';
	return got;
}

ssize_t file_read_in(const char *folder, const char *name, char *text, size_t size)
{
	char path[PATH_MAX];

	text[0] = '\0';
	if (snprintf(path, sizeof(path), "%s/%s", folder, name) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	return file_read(AT_FDCWD, path, text, size);
}
