/*
 * The mappings of a process, as /proc/PID/maps gives them (Documentation/filesystems/proc.rst),
 * sorted by address. Hostile input: lines that do not parse are skipped, names are cut.
 */
#ifndef ALLOCTRACE_TARGET_MAPS_H
#define ALLOCTRACE_TARGET_MAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

struct mapping {
	uint64_t start, end; /* bytes, page-aligned, [start, end) */
	uint64_t offset;     /* in the file */
	uint64_t inode;      /* 0: anonymous */
	dev_t dev;
	bool read, write, exec, shared;
	const char *name; /* path as the process sees it, "[heap]", "[stack]", "[anon:…]" or ""; never NULL; owned by the maps */
};

struct maps {
	struct mapping *v;
	size_t cnt;
	char *text; /* what the names point into */
};

/* Reads pid's mappings. The caller owns *maps and frees it with maps_free. −ESRCH, −EACCES, −ENOMEM. */
int maps_read(pid_t pid, struct maps *maps, struct error *err);
/* Parses the text of a maps file (tests, saved images, fuzzing). */
int maps_parse(const char *text, size_t len, struct maps *maps);
/* Paths below root become those of a process whose root directory that is: the kernel writes them as we would. */
void maps_set_root(struct maps *maps, const char *root);
void maps_free(struct maps *maps); /* idempotent */

/* The mapping that holds addr, or NULL. */
const struct mapping *maps_find(const struct maps *maps, uint64_t addr);
/* Private, anonymous, readable and writable: what allocators live in (stacks are not told apart). */
bool mapping_is_anon_rw(const struct mapping *m);

#endif
