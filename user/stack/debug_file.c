#include "stack/debug_file.h"

#include <elfutils/libdwelf.h>
#include <fcntl.h>
#include <libelf.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "target/root.h"

#define DEBUG_FOLDER "/usr/lib/debug"
#define COPY_MAX (256 << 20) /* bytes of memory for one */

struct wanted {
	const uint8_t *id;
	size_t id_sz;
	uint32_t crc;
};

static bool has_build_id(int fd, const struct wanted *w)
{
	Elf *elf = elf_begin(fd, ELF_C_READ, NULL);
	const void *bits;
	ssize_t len = elf ? dwelf_elf_gnu_build_id(elf, &bits) : -1;
	bool same = len > 0 && (size_t)len == w->id_sz && !memcmp(bits, w->id, w->id_sz);

	elf_end(elf);
	return same;
}

static bool has_crc(int fd, uint32_t wanted)
{
	unsigned char buf[65536];
	uLong crc = crc32(0, NULL, 0);
	off_t at = 0;
	ssize_t got;

	while ((got = pread(fd, buf, sizeof(buf), at)) > 0) {
		crc = crc32(crc, buf, (uInt)got);
		at += got;
	}
	return got == 0 && crc == wanted;
}

static int open_if_wanted(int root, const char *path, const struct wanted *w)
{
	struct stat st;
	int fd = root_open_file(root, path, &st);

	if (fd < 0)
		return -1;
	if (w->id_sz ? has_build_id(fd, w) : has_crc(fd, w->crc))
		return fd;
	close(fd);
	return -1;
}

static int by_build_id(int root, const struct wanted *w)
{
	char path[sizeof(DEBUG_FOLDER) + 2 * 64 + 32], *at = path;

	if (w->id_sz < 2 || w->id_sz > 64)
		return -1;
	at += sprintf(at, DEBUG_FOLDER "/.build-id/%02x/", w->id[0]);
	for (size_t i = 1; i < w->id_sz; i++)
		at += sprintf(at, "%02x", w->id[i]);
	sprintf(at, ".debug");
	return open_if_wanted(root, path, w);
}

/* Beside the object, in .debug beside it, and in the system's folder, as gdb looks for it. */
static int by_link(int root, const char *object, const char *link, const struct wanted *w)
{
	static const char *const forms[] = {"%.*s/%s", "%.*s/.debug/%s", DEBUG_FOLDER "%.*s/%s"};
	const char *slash = strrchr(object, '/');
	char path[PATH_MAX];
	int fd = -1;

	if (!slash || strchr(link, '/'))
		return -1;
	for (size_t i = 0; fd < 0 && i < sizeof(forms) / sizeof(forms[0]); i++) {
		/* NOLINTNEXTLINE(clang-diagnostic-format-nonliteral) */
		if (snprintf(path, sizeof(path), forms[i], (int)(slash - object), object, link) <
		    (int)sizeof(path))
			fd = open_if_wanted(root, path, w);
	}
	return fd;
}

static bool is_same(int a, int b)
{
	struct stat x, y;

	return a >= 0 && b >= 0 && !fstat(a, &x) && !fstat(b, &y) && x.st_dev == y.st_dev &&
	       x.st_ino == y.st_ino;
}

/*
 * What libdw reads is mapped, and whoever may write in another root may truncate it meanwhile,
 * which would end us by SIGBUS: so it is copied. −1: it is too large for that. Takes the descriptor.
 */
static int take_copy(int fd)
{
	int copy = memfd_create("debug file", MFD_CLOEXEC);
	off_t size = lseek(fd, 0, SEEK_END), at = 0;
	ssize_t got = 1;

	while (copy >= 0 && size <= COPY_MAX && at < size && got > 0)
		got = sendfile(copy, fd, &at, (size_t)(size - at));
	close(fd);
	if (copy >= 0 && size <= COPY_MAX && at == size)
		return copy;
	if (copy >= 0)
		close(copy);
	return -1;
}

int debug_file_open(int root, const char *path, const uint8_t *build_id, size_t build_id_sz, const char *link,
		    uint32_t crc)
{
	const struct wanted wanted = {build_id, build_id_sz, crc};
	int ours = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	const int roots[] = {root, ours};
	int fd = -1;

	for (size_t i = 0; fd < 0 && i < sizeof(roots) / sizeof(roots[0]); i++) {
		if (roots[i] < 0)
			continue;
		fd = by_build_id(roots[i], &wanted);
		if (fd < 0 && link)
			fd = by_link(roots[i], path, link, &wanted);
		if (fd >= 0 && !is_same(roots[i], ours))
			fd = take_copy(fd);
	}
	if (ours >= 0)
		close(ours);
	return fd;
}
