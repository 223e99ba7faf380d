#include "probe/allocator.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "target/object.h"

extern const struct allocator allocator_glibc, allocator_mimalloc, allocator_jemalloc, allocator_gperftools,
	allocator_musl, allocator_pymalloc;

const struct allocator *const allocators[] = {
	&allocator_glibc,
	&allocator_mimalloc,
	&allocator_jemalloc,
	&allocator_gperftools,
	&allocator_musl,
	&allocator_pymalloc,
	NULL,
};

const struct allocator *allocator_nth(const struct allocator *const *more, size_t i)
{
	const size_t known = sizeof(allocators) / sizeof(allocators[0]) - 1;

	if (i < known)
		return allocators[i];
	for (i -= known; more && *more; more++)
		if (!i--)
			return *more;
	return NULL;
}

static const char *const no_prefix[] = {"", NULL};

static const char *const *prefixes_of(const struct allocator *kind)
{
	return kind->prefixes ? kind->prefixes : no_prefix;
}

const char *allocator_symbol(char buf[ALLOCATOR_SYMBOL_MAX], const char *prefix, const char *name)
{
	snprintf(buf, ALLOCATOR_SYMBOL_MAX, "%s%s", prefix, name);
	return buf;
}

bool allocator_has_prefix(const struct allocator *kind, const char *prefix)
{
	for (const char *const *known = prefixes_of(kind); *known; known++)
		if (!strcmp(*known, prefix))
			return true;
	return false;
}

static bool has_one_of(struct object *obj, const char *prefix, const char *const *names)
{
	char symbol[ALLOCATOR_SYMBOL_MAX];
	struct object_symbol sym;

	for (; names && *names; names++)
		if (!object_find_symbol(obj, allocator_symbol(symbol, prefix, *names), &sym))
			return true;
	return false;
}

static const char *file_name(const struct object *obj)
{
	const char *slash = strrchr(object_name(obj), '/');

	return slash ? slash + 1 : object_name(obj);
}

bool allocator_is_library(const struct allocator *kind, const struct object *obj)
{
	for (const char *const *prefix = kind->file_prefixes; *prefix; prefix++)
		if (!strncmp(file_name(obj), *prefix, strlen(*prefix)))
			return true;
	return false;
}

/* By name as the target has it, by file, or by the file's name alone. */
static bool is_object(const char *path, const struct object *obj)
{
	struct stat named, its;

	if (!strchr(path, '/'))
		return !strcmp(path, file_name(obj));
	if (!strcmp(path, object_name(obj)))
		return true;
	return !stat(path, &named) && !fstat(object_fd(obj), &its) && named.st_dev == its.st_dev &&
	       named.st_ino == its.st_ino;
}

const char *allocator_prefix_in(const struct allocator *kind, struct object *obj, size_t *at)
{
	const char *const *prefixes = prefixes_of(kind);

	if (kind->object && !is_object(kind->object, obj))
		return NULL;
	while (prefixes[*at]) {
		const char *prefix = prefixes[(*at)++];

		if (has_one_of(obj, prefix, kind->fingerprint) && !has_one_of(obj, prefix, kind->excluded))
			return prefix;
	}
	return NULL;
}

bool allocator_is_in(const struct allocator *kind, struct object *obj)
{
	size_t at = 0;

	return allocator_prefix_in(kind, obj, &at);
}

bool allocator_is_entry_point(const struct allocator *kind, const char *symbol)
{
	for (const char *const *prefix = prefixes_of(kind); *prefix; prefix++) {
		size_t len = strlen(*prefix);

		if (strncmp(symbol, *prefix, len) != 0)
			continue;
		for (const char *const *name = kind->entry_points; *name; name++)
			if (!strcmp(symbol + len, *name))
				return true;
	}
	return false;
}

/* Compilers put a dot and a word behind the names of parts and copies of functions. */
static bool is_one_of(const char *symbol, const char *const *names)
{
	for (; names && *names; names++) {
		size_t len = strlen(*names);

		if (!strncmp(symbol, *names, len) &&
		    ((*names)[len - 1] == '_' || !symbol[len] || symbol[len] == '.'))
			return true;
	}
	return false;
}

/* What is not exported has the prefix in some builds, and not in others. */
bool allocator_is_releaser(const struct allocator *kind, const char *symbol)
{
	bool found = is_one_of(symbol, kind->releasers);

	for (const char *const *prefix = prefixes_of(kind); !found && *prefix; prefix++)
		found = !strncmp(symbol, *prefix, strlen(*prefix)) &&
			is_one_of(symbol + strlen(*prefix), kind->releasers);
	return found;
}
