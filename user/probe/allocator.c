#include "probe/allocator.h"

#include <stdio.h>
#include <string.h>

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

static bool has_fingerprint(const struct allocator *kind, const char *prefix, struct object *obj)
{
	char symbol[ALLOCATOR_SYMBOL_MAX];
	struct object_symbol sym;

	for (const char *const *name = kind->fingerprint; *name; name++)
		if (!object_find_symbol(obj, allocator_symbol(symbol, prefix, *name), &sym))
			return true;
	return false;
}

const char *allocator_prefix_in(const struct allocator *kind, struct object *obj, size_t *at)
{
	const char *const *prefixes = prefixes_of(kind);

	while (prefixes[*at]) {
		const char *prefix = prefixes[(*at)++];

		if (has_fingerprint(kind, prefix, obj))
			return prefix;
	}
	return NULL;
}

bool allocator_is_in(const struct allocator *kind, struct object *obj)
{
	size_t at = 0;

	return allocator_prefix_in(kind, obj, &at);
}

/* Whether symbol is one of names, or (begins) begins with one, behind one of kind's prefixes. */
static bool is_one_of(const struct allocator *kind, const char *symbol, const char *const *names, bool begins)
{
	for (const char *const *prefix = prefixes_of(kind); names && *prefix; prefix++) {
		size_t len = strlen(*prefix);

		if (strncmp(symbol, *prefix, len) != 0)
			continue;
		for (const char *const *name = names; *name; name++)
			if (begins ? !strncmp(symbol + len, *name, strlen(*name))
				   : !strcmp(symbol + len, *name))
				return true;
	}
	return false;
}

bool allocator_is_entry_point(const struct allocator *kind, const char *symbol)
{
	return is_one_of(kind, symbol, kind->entry_points, false);
}

bool allocator_is_releaser(const struct allocator *kind, const char *symbol)
{
	return is_one_of(kind, symbol, kind->releasers, true);
}
