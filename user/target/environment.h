/* The environment that a program was started with, which is the one that its allocator has read. */
#ifndef ALLOCTRACE_TARGET_ENVIRONMENT_H
#define ALLOCTRACE_TARGET_ENVIRONMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "target/maps.h"
#include "target/memory.h"
#include "target/objects.h"

#define ENVIRONMENT_MAX (4UL << 20) /* bytes; execve allows a quarter of the stack, 2 MiB by default */
#define ENVIRONMENT_VARIABLES_MAX 8192

struct environment { /* all zero: empty */
	enum environment_source {
		ENVIRONMENT_UNKNOWN, /* neither can be read */
		ENVIRONMENT_START,   /* as execve laid it down */
		ENVIRONMENT_NOW,     /* the program wrote over that (a process title): its `environ` now */
	} source;
	char **v; /* "NAME=value", in order; what has no '=' is left out */
	size_t cnt;
	char *text; /* what they point into */
};

/*
 * From /proc/PID/environ, or, where that is no environment any more, from the C library's
 * variable in the target's memory. 0, or −ENOMEM; no right to read it leaves ENVIRONMENT_UNKNOWN.
 */
int environment_read(pid_t pid, struct memory *mem, const struct maps *maps, struct objects *objects,
		     struct environment *env);
void environment_free(struct environment *env); /* idempotent */
/* The value of a variable, the first of that name; NULL: it is not set. */
const char *environment_get(const struct environment *env, const char *name);

/* Whether the kernel started the program in secure mode (AT_SECURE, getauxval(3)): the loader ignores much then. */
bool environment_is_secure(pid_t pid);

/* For tests: parses len bytes as /proc/PID/environ has them; false if they are no environment. */
bool environment_parse(const char *text, size_t len, struct environment *env);

#endif
