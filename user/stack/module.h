/*
 * The files that a target has code from (and the anonymous memory that JITs write it to), each
 * once: by build-id where it has one, else by device and inode. What is open stays readable when
 * the target has ended.
 */
#ifndef ALLOCTRACE_STACK_MODULE_H
#define ALLOCTRACE_STACK_MODULE_H

#include <stdint.h>
#include <sys/types.h>

#include "target/maps.h"
#include "target/object.h"

#define BUILD_ID_MAX 64 /* bytes; 20 as linkers make them */

struct debuginfo;
struct perf_map;

enum module_kind {
	MODULE_ELF,
	MODULE_FILE, /* no ELF object, or one that cannot be opened */
	MODULE_JIT,
};

struct module {
	enum module_kind kind;
	struct module *next;   /* newest first */
	const char *name;      /* base name; owned */
	struct object *object; /* of MODULE_ELF; owned by the set */
	uint8_t build_id[BUILD_ID_MAX];
	size_t build_id_sz; /* 0: it has none */

	/* The naming thread's (stack/names.c). */
	struct debuginfo *quick, *full; /* its symbols; what its debug files say */
};

struct modules;

struct modules *modules_new(pid_t pid); /* NULL: no memory */
void modules_free(struct modules *set); /* NULL-safe */
/* The module of an executable mapping, opened when first seen; NULL: no memory, or too many. */
struct module *modules_get(struct modules *set, const struct mapping *m);
/* The target's root (target/root.h), or negative. */
int modules_root(const struct modules *set);
struct perf_map *modules_perf_map(const struct modules *set);

#endif
