/* What the memory controller says of a cgroup: version 2's files, and those of version 1 that mean the same.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "target/cgroup.h"

#define VALUE_MAX 64  /* bytes of a file with one number */
#define KEYS_MAX 4096 /* of one with a number a line */

/* PAGE_COUNTER_MAX in pages of up to 64 KiB, include/linux/page_counter.h: how version 1 says "no limit". */
#define V1_NO_LIMIT (INT64_MAX & ~0xffffLL)

static uint64_t parse_value(const char *text)
{
	char *end;
	uint64_t value;

	if (!strncmp(text, "max", 3))
		return CGROUP_NO_LIMIT;
	if (text[0] < '0' || text[0] > '9')
		return CGROUP_UNKNOWN;
	errno = 0;
	value = strtoull(text, &end, 10);
	return errno || value >= CGROUP_UNKNOWN || (*end && *end != '\n') ? CGROUP_UNKNOWN : value;
}

static uint64_t read_value(const char *folder, const char *name)
{
	char text[VALUE_MAX];

	return file_read_in(folder, name, text, sizeof(text)) > 0 ? parse_value(text) : CGROUP_UNKNOWN;
}

static uint64_t read_v1_limit(const char *folder, const char *name)
{
	uint64_t value = read_value(folder, name);

	return value >= (uint64_t)V1_NO_LIMIT && value < CGROUP_UNKNOWN ? CGROUP_NO_LIMIT : value;
}

/* The number behind "key " at the beginning of a line. */
static uint64_t find_value(const char *text, const char *key)
{
	size_t len = strlen(key);

	for (const char *line = text; line; line = strchr(line, '\n'), line += line ? 1 : 0)
		if (!strncmp(line, key, len) && line[len] == ' ')
			return parse_value(line + len + 1);
	return CGROUP_UNKNOWN;
}

static uint64_t known_difference(uint64_t whole, uint64_t part)
{
	if (whole >= CGROUP_UNKNOWN || part >= CGROUP_UNKNOWN)
		return whole;
	return whole > part ? whole - part : 0;
}

/* Version 1 limits memory and swap together: what may be swapped is what that leaves. */
static uint64_t swap_max_v1(const char *folder)
{
	uint64_t both = read_v1_limit(folder, "memory.memsw.limit_in_bytes");

	return known_difference(both, read_v1_limit(folder, "memory.limit_in_bytes"));
}

static void read_v1(const char *folder, struct cgroup_memory *m)
{
	char text[KEYS_MAX];

	m->current = read_value(folder, "memory.usage_in_bytes");
	m->peak = read_value(folder, "memory.max_usage_in_bytes");
	m->max = read_v1_limit(folder, "memory.limit_in_bytes");
	m->swap_current = read_value(folder, "memory.memsw.usage_in_bytes");
	m->swap_current = known_difference(m->swap_current, m->current);
	m->swap_max = swap_max_v1(folder);
	m->events.max = read_value(folder, "memory.failcnt");
	if (file_read_in(folder, "memory.oom_control", text, sizeof(text)) > 0)
		m->events.oom_kill = find_value(text, "oom_kill");
}

static void read_v2(const char *folder, struct cgroup_memory *m)
{
	char text[KEYS_MAX];
	uint64_t group;

	m->current = read_value(folder, "memory.current");
	m->peak = read_value(folder, "memory.peak");
	m->high = read_value(folder, "memory.high");
	m->max = read_value(folder, "memory.max");
	m->swap_current = read_value(folder, "memory.swap.current");
	m->swap_max = read_value(folder, "memory.swap.max");
	group = read_value(folder, "memory.oom.group");
	m->oom_group = group == 0 ? 0 : group == 1 ? 1 : -1;
	if (file_read_in(folder, "memory.events", text, sizeof(text)) <= 0)
		return;
	m->events.low = find_value(text, "low");
	m->events.high = find_value(text, "high");
	m->events.max = find_value(text, "max");
	m->events.oom = find_value(text, "oom");
	m->events.oom_kill = find_value(text, "oom_kill");
}

static void parse_pressure(const char *text, const char *kind, struct cgroup_pressure *p)
{
	const char *line = strstr(text, kind);
	struct cgroup_pressure read;

	if (line && sscanf(line + strlen(kind), " avg10=%lf avg60=%lf avg300=%lf total=%" SCNu64, &read.avg10,
			   &read.avg60, &read.avg300, &read.total_us) == 4)
		*p = read;
}

static void read_pressure(const char *folder, struct cgroup_memory *m)
{
	char text[KEYS_MAX];

	m->some = m->full = (struct cgroup_pressure){-1, -1, -1, CGROUP_UNKNOWN};
	if (!folder[0] || file_read_in(folder, "memory.pressure", text, sizeof(text)) <= 0)
		return;
	parse_pressure(text, "some", &m->some);
	parse_pressure(text, "full", &m->full);
}

static void lower(struct cgroup_limit *limit, uint64_t bytes, const char *path)
{
	if (bytes == CGROUP_UNKNOWN || (limit->bytes < CGROUP_UNKNOWN && limit->bytes <= bytes))
		return;
	if (bytes == CGROUP_NO_LIMIT && limit->bytes != CGROUP_UNKNOWN)
		return;
	limit->bytes = bytes;
	snprintf(limit->path, sizeof(limit->path), "%s", bytes == CGROUP_NO_LIMIT ? "" : path);
}

/* From the cgroup up to the folder where the hierarchy is mounted. */
static void read_limits(const struct cgroup *cg, struct cgroup_memory *m)
{
	char folder[CGROUP_PATH_MAX], path[CGROUP_PATH_MAX], *slash;

	memcpy(folder, cg->accounts, sizeof(folder));
	memcpy(path, cg->accounts_path, sizeof(path));
	while (strlen(folder) >= cg->accounts_top) {
		const char *name = path[0] ? path : "/";

		if (!cg->v1)
			lower(&m->effective_high, read_value(folder, "memory.high"), name);
		lower(&m->effective_max,
		      cg->v1 ? read_v1_limit(folder, "memory.limit_in_bytes")
			     : read_value(folder, "memory.max"),
		      name);
		lower(&m->effective_swap_max,
		      cg->v1 ? swap_max_v1(folder) : read_value(folder, "memory.swap.max"), name);
		slash = strrchr(folder, '/');
		if (!slash)
			break;
		*slash = '\0';
		slash = strrchr(path, '/');
		if (slash)
			*slash = '\0';
	}
}

int cgroup_memory_read(const struct cgroup *cg, struct cgroup_memory *m)
{
	const uint64_t none = CGROUP_UNKNOWN;

	*m = (struct cgroup_memory){
		.current = none,
		.peak = none,
		.high = none,
		.max = none,
		.swap_current = none,
		.swap_max = none,
		.effective_high = {.bytes = none},
		.effective_max = {.bytes = none},
		.effective_swap_max = {.bytes = none},
		.events = {none, none, none, none, none},
		.oom_group = -1,
	};
	read_pressure(cg->pressure, m);
	if (!cg->accounts[0])
		return -ENOENT;
	read_limits(cg, m);
	if (cg->v1)
		read_v1(cg->accounts, m);
	else
		read_v2(cg->accounts, m);
	return m->current == CGROUP_UNKNOWN ? -ENOENT : 0;
}

uint64_t cgroup_memory_current(const struct cgroup *cg)
{
	if (!cg->accounts[0])
		return CGROUP_UNKNOWN;
	return read_value(cg->accounts, cg->v1 ? "memory.usage_in_bytes" : "memory.current");
}
