/*
 * The files that the processes watched have code from (and the anonymous memory that their JITs
 * write it to), each once whoever has it mapped: by build-id where it has one, else by device and
 * inode. What is open stays readable when the process that it was opened through has ended.
 */
#ifndef ALLOCTRACE_STACK_MODULE_H
#define ALLOCTRACE_STACK_MODULE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "stack/home.h"
#include "target/maps.h"
#include "target/object.h"

#define BUILD_ID_MAX 64 /* bytes; 20 as linkers make them */

struct debuginfo;

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

	/* The set's: of an ELF object until its debug files have been read, of a JIT while it is kept. */
	struct home *home;
	bool settled; /* needs no home any more */
};

struct modules;
struct resident; /* opaque: a process with code in modules */

struct modules *modules_new(void);      /* NULL: no memory */
void modules_free(struct modules *set); /* NULL-safe; residents have left before */

/* A process comes; parent: the resident that it was forked from (and has not exec'd), or NULL. NULL: no memory. */
struct resident *modules_enter(struct modules *set, pid_t pid, struct resident *parent);
/* It has ended or exec'd: what it kept open is closed, but for a bounded number of those whose code may
 * still have to be named. NULL-safe. */
void modules_leave(struct modules *set, struct resident *resident);
/* The module of an executable mapping of it, opened when first seen; NULL: no memory, or too many. */
struct module *modules_get(struct modules *set, struct resident *resident, const struct mapping *m);
/* How many homes of those that left are still kept (tests). */
size_t modules_homes_kept(const struct modules *set);

/* Of any thread: the home of a module, which the caller releases (stack/home.h); NULL: none is known. */
struct home *modules_hold_home(struct modules *set, const struct module *module);
/* It needs its home no longer: what its debug files say has been read. */
void modules_settle(struct modules *set, struct module *module);

#endif
