#include "stack/perf_map.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/search.h"
#include "base/units.h"
#include "target/pid_namespace.h"
#include "target/root.h"

#define FILE_MAX (128UL << 20) /* bytes; what comes behind is not read */
#define REREAD_NS (NSEC_PER_SEC / 100)
#define COST_FACTOR 20  /* a reading is followed by this many times its cost of rest */
#define OVERLAPS_MAX 64 /* older entries that are looked at behind the nearest */

struct perf_map {
	pid_t pid;
	int root;
	atomic_int fd; /* −1: not open; opened by one thread, read by another */
	struct stat seen;
	uint64_t due_ns;
	char *text;
	struct perf_map_entry *v; /* by start, then by number */
	size_t cnt;
};

struct perf_map *perf_map_new(pid_t pid, int root)
{
	struct perf_map *map = calloc(1, sizeof(*map));

	if (!map)
		return NULL;
	map->pid = pid;
	map->root = root;
	map->fd = -1;
	return map;
}

static void forget(struct perf_map *map)
{
	free(map->text);
	free(map->v);
	map->text = NULL;
	map->v = NULL;
	map->cnt = 0;
}

void perf_map_free(struct perf_map *map)
{
	if (!map)
		return;
	forget(map);
	if (map->fd >= 0)
		close(map->fd);
	free(map);
}

/* Its effective user. */
static bool read_user(pid_t pid, uid_t *user)
{
	char path[32], line[512];
	bool has_user = false;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	file = fopen(path, "re");
	while (file && !has_user && fgets(line, sizeof(line), file))
		has_user = sscanf(line, "Uid: %*u %u", user) == 1;
	if (file)
		fclose(file);
	return has_user;
}

/* Anyone may put a file into /tmp: only the target's own user and root are believed. */
bool perf_map_open(struct perf_map *map)
{
	char path[48];
	struct stat st;
	uid_t user;
	pid_t own;
	int fd;

	if (map->fd >= 0)
		return true;
	if (map->root < 0 || !read_user(map->pid, &user) || pid_namespace_own(map->pid, &own))
		return false;
	snprintf(path, sizeof(path), "/tmp/perf-%d.map", own);
	fd = root_open_file(map->root, path, &st);
	if (fd >= 0 && st.st_uid != user && st.st_uid != 0) {
		close(fd);
		fd = -1;
	}
	map->fd = fd < 0 ? -1 : fd;
	return fd >= 0;
}

static bool parse_line(char *line, uint32_t number, struct perf_map_entry *entry)
{
	char *end;

	errno = 0;
	entry->start = strtoull(line, &end, 16);
	if (end == line || *end != ' ')
		return false;
	entry->size = strtoull(end + 1, &end, 16);
	if (errno || *end != ' ' || !end[1] || !entry->size || entry->start + entry->size < entry->start)
		return false;
	entry->name = end + 1;
	entry->number = number;
	return true;
}

static int by_start(const void *x, const void *y)
{
	const struct perf_map_entry *a = x, *b = y;

	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	return a->number < b->number ? -1 : a->number > b->number;
}

/* Takes text over, which ends with a NUL behind len. */
static int parse_owned(struct perf_map *map, char *text, size_t len)
{
	size_t lines = 0;
	char *line, *end;

	forget(map);
	for (size_t i = 0; i < len; i++)
		lines += text[i] == '\n';
	map->text = text;
	map->v = calloc(lines + 1, sizeof(*map->v));
	if (!map->v)
		return -ENOMEM;
	/* A line without its end is still being written. */
	for (line = text; (end = memchr(line, '\n', (size_t)(text + len - line))); line = end + 1) {
		*end = '\0';
		if (parse_line(line, (uint32_t)map->cnt, &map->v[map->cnt]))
			map->cnt++;
	}
	qsort(map->v, map->cnt, sizeof(*map->v), by_start);
	return 0;
}

int perf_map_parse(struct perf_map *map, const char *text, size_t len)
{
	char *copy = malloc(len + 1);

	if (!copy)
		return -ENOMEM;
	memcpy(copy, text, len);
	copy[len] = '\0';
	return parse_owned(map, copy, len);
}

static void read_file(struct perf_map *map, size_t size)
{
	char *text = malloc(size + 1);
	size_t len = 0;
	ssize_t got;

	if (!text)
		return;
	while (len < size && (got = pread(map->fd, text + len, size - len, (off_t)len)) > 0)
		len += (size_t)got;
	text[len] = '\0';
	parse_owned(map, text, len);
}

void perf_map_refresh(struct perf_map *map)
{
	uint64_t began = clock_monotonic_ns(), rest;
	struct stat st;

	if (map->fd < 0 || began < map->due_ns || fstat(map->fd, &st))
		return;
	if (st.st_size == map->seen.st_size && st.st_mtim.tv_sec == map->seen.st_mtim.tv_sec &&
	    st.st_mtim.tv_nsec == map->seen.st_mtim.tv_nsec)
		return;
	map->seen = st;
	read_file(map, (size_t)st.st_size < FILE_MAX ? (size_t)st.st_size : FILE_MAX);
	rest = (clock_monotonic_ns() - began) * COST_FACTOR;
	map->due_ns = clock_monotonic_ns() + (rest > REREAD_NS ? rest : REREAD_NS);
}

static uint64_t start_of(const void *v, size_t i)
{
	return ((const struct perf_map_entry *)v)[i].start;
}

const struct perf_map_entry *perf_map_find(const struct perf_map *map, uint64_t addr)
{
	size_t upto = search_upto(map->v, map->cnt, start_of, addr), last;
	const struct perf_map_entry *found = NULL;

	/* Code is moved and its memory used again: an old entry may begin nearer than the one that covers. */
	last = upto > OVERLAPS_MAX ? upto - OVERLAPS_MAX : 0;
	for (size_t i = upto; i > last; i--) {
		const struct perf_map_entry *e = &map->v[i - 1];

		if (addr - e->start < e->size && (!found || e->number > found->number))
			found = e;
	}
	return found;
}
