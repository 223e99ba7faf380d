#include "target/environment.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

void environment_free(struct environment *env)
{
	free(env->v);
	free(env->text);
	*env = (struct environment){0};
}

const char *environment_get(const struct environment *env, const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < env->cnt; i++)
		if (!strncmp(env->v[i], name, len) && env->v[i][len] == '=')
			return env->v[i] + len + 1;
	return NULL;
}

/* A name has no blank and does not begin with '='; what a shell accepts is less. */
static bool is_variable(const char *text)
{
	size_t len = strcspn(text, "=");

	return len && text[len] == '=' && strcspn(text, " \t\n") >= len;
}

/*
 * A process title is written over argv and what lies behind it, the environment, from the front; the
 * rest becomes zeros or blanks (setproctitle in libbsd, PostgreSQL, nginx, redis).
 */
bool environment_parse(const char *text, size_t len, struct environment *env)
{
	size_t cnt = 0;

	*env = (struct environment){.text = malloc(len + 1)};
	if (!env->text)
		return false;
	memcpy(env->text, text, len);
	env->text[len] = '\0';
	for (size_t at = 0; at < len; at += strlen(env->text + at) + 1)
		cnt++;
	cnt = cnt < ENVIRONMENT_VARIABLES_MAX ? cnt : ENVIRONMENT_VARIABLES_MAX;
	env->v = calloc(cnt + 1, sizeof(*env->v));
	for (size_t at = 0; env->v && at < len && env->cnt < cnt; at += strlen(env->text + at) + 1) {
		if (!is_variable(env->text + at)) {
			environment_free(env);
			return false;
		}
		env->v[env->cnt++] = env->text + at;
	}
	if (!env->v) {
		environment_free(env);
		return false;
	}
	env->source = ENVIRONMENT_START;
	return true;
}

static bool read_start(pid_t pid, struct environment *env)
{
	char path[64], *text = malloc(ENVIRONMENT_MAX);
	ssize_t len;
	bool good;

	snprintf(path, sizeof(path), "/proc/%d/environ", pid);
	len = text ? file_read(AT_FDCWD, path, text, ENVIRONMENT_MAX) : -ENOMEM;
	good = len >= 0 && environment_parse(text, (size_t)len, env);
	free(text);
	return good;
}

/* Up to len bytes, ending before the first page that is not in RAM. */
static size_t read_present(struct memory *mem, uint64_t addr, char *buf, size_t len)
{
	size_t used = 0;

	while (used < len) {
		uint64_t at = addr + used, page = at & ~(TARGET_PAGE_SIZE - 1);
		size_t part = page + TARGET_PAGE_SIZE - at;
		uint8_t state;
		ssize_t got;

		part = part < len - used ? part : len - used;
		if (memory_pages(mem, page, page + TARGET_PAGE_SIZE, &state) || !(state & PAGE_PRESENT))
			break;
		got = memory_read(mem, at, buf + used, part);
		if (got <= 0)
			break;
		used += (size_t)got;
	}
	return used;
}

static bool append(struct environment *env, size_t *used, const char *text, size_t len)
{
	if (*used + len + 1 > ENVIRONMENT_MAX || env->cnt == ENVIRONMENT_VARIABLES_MAX)
		return false;
	memcpy(env->text + *used, text, len);
	env->text[*used + len] = '\0';
	env->v[env->cnt++] = env->text + *used;
	*used += len + 1;
	return true;
}

#define VALUE_MAX 65536 /* bytes of one variable that are read */

/* The strings that the array at addr points to, up to its NULL. */
static void read_array(struct memory *mem, uint64_t addr, struct environment *env)
{
	char *text = malloc(VALUE_MAX);
	size_t used = 0;
	uint64_t at;

	for (size_t i = 0; text && i < ENVIRONMENT_VARIABLES_MAX; i++) {
		size_t len;

		if (read_present(mem, addr + 8 * i, (char *)&at, sizeof(at)) != sizeof(at) || !at)
			break;
		len = read_present(mem, at, text, VALUE_MAX - 1);
		text[len] = '\0';
		if (strlen(text) < len && is_variable(text) && !append(env, &used, text, strlen(text)))
			break;
	}
	free(text);
}

/* The variable: a program's own copy comes first (it lies at the lowest address unless it is a PIE). */
static uint64_t find_array(struct memory *mem, const struct maps *maps, struct objects *objects)
{
	static const char *const names[] = {"environ", "__environ"};
	struct object_symbol sym;
	uint64_t addr;

	for (size_t i = 0; i < maps->cnt; i++) {
		const struct mapping *m = &maps->v[i];
		struct object *obj = m->inode && m->exec ? objects_get(objects, m) : NULL;

		for (size_t n = 0; obj && n < sizeof(names) / sizeof(names[0]); n++)
			if (!object_find_data(obj, names[n], &sym) &&
			    read_present(mem, object_bias(obj, m) + sym.value, (char *)&addr, sizeof(addr)) ==
				    sizeof(addr) &&
			    addr)
				return addr;
	}
	return 0;
}

int environment_read(pid_t pid, struct memory *mem, const struct maps *maps, struct objects *objects,
		     struct environment *env)
{
	uint64_t array;

	*env = (struct environment){0};
	if (read_start(pid, env))
		return 0;
	array = find_array(mem, maps, objects);
	if (!array)
		return 0;
	env->v = calloc(ENVIRONMENT_VARIABLES_MAX, sizeof(*env->v));
	env->text = malloc(ENVIRONMENT_MAX);
	if (!env->v || !env->text) {
		environment_free(env);
		return -ENOMEM;
	}
	env->source = ENVIRONMENT_NOW;
	read_array(mem, array, env);
	return 0;
}

bool environment_is_secure(pid_t pid)
{
	Elf64_auxv_t auxv[64];
	char path[64], text[sizeof(auxv) + 1];
	ssize_t len;

	snprintf(path, sizeof(path), "/proc/%d/auxv", pid);
	len = file_read(AT_FDCWD, path, text, sizeof(text));
	if (len < (ssize_t)sizeof(auxv[0]))
		return false;
	memcpy(auxv, text, (size_t)len);
	for (size_t i = 0; i < (size_t)len / sizeof(auxv[0]) && auxv[i].a_type != AT_NULL; i++)
		if (auxv[i].a_type == AT_SECURE)
			return auxv[i].a_un.a_val;
	return false;
}
