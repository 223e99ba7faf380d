/*
 * Names of code that a JIT made, from the file that it writes for perf: /tmp/perf-PID.map in the
 * target's own root, by its own process number. Lines "start size name", in hex; hostile input.
 */
#ifndef ALLOCTRACE_STACK_PERF_MAP_H
#define ALLOCTRACE_STACK_PERF_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct perf_map; /* opaque */

struct perf_map_entry {
	uint64_t start, size; /* bytes */
	const char *name;     /* of the rest of the line */
	uint32_t number;      /* of the line: later ones replace what they overlap */
};

/* For a process and its root (target/root.h), which is borrowed. NULL: no memory. */
struct perf_map *perf_map_new(pid_t pid, int root);
void perf_map_free(struct perf_map *map); /* NULL-safe */
/* Opens the file while the process lives, unless it is open; whether it is now. */
bool perf_map_open(struct perf_map *map);
/* Reads the file if it has changed, for a small share of the time. */
void perf_map_refresh(struct perf_map *map);
/* Parses text in place of a file (tests). −ENOMEM. */
int perf_map_parse(struct perf_map *map, const char *text, size_t len);
/* The newest entry that covers addr, valid until the next refresh; NULL: none. */
const struct perf_map_entry *perf_map_find(const struct perf_map *map, uint64_t addr);

#endif
