/*
 * The ELF objects that a process has mapped, opened once each and kept while the process
 * is looked at. Keyed by device and inode, so an upgraded library is another object.
 */
#ifndef ALLOCTRACE_TARGET_OBJECTS_H
#define ALLOCTRACE_TARGET_OBJECTS_H

#include <sys/types.h>

#include "target/maps.h"
#include "target/object.h"

struct objects;

struct objects *objects_new(pid_t pid); /* NULL: no memory */
void objects_free(struct objects *set); /* NULL-safe; closes every object */
/* The object behind a mapping; NULL if it is no ELF file or cannot be opened (tried once). Owned by the set. */
struct object *objects_get(struct objects *set, const struct mapping *m);
/* The first file with code that was there and could not be opened (deleted, or another at its path); NULL: none. */
const char *objects_unopened(const struct objects *set);

#endif
