/*
 * The file that an overlayfs mapping really maps. When a file in a container is changed, were it by chmod,
 * overlayfs copies it up: its path, and map_files too, lead to the copy from then on, while what was mapped
 * before stays the file of the layer below, and probes go by that one's inode. Hostile input: mountinfo of
 * the process.
 */
#ifndef ALLOCTRACE_TARGET_OVERLAY_H
#define ALLOCTRACE_TARGET_OVERLAY_H

#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "target/maps.h"

/*
 * Opens the file of the uppermost lower layer at the mapping's path, by the folder that the mount names, which
 * must be reachable in our own mount namespace. A descriptor, or −ENOENT: no overlayfs, or not found.
 */
int overlay_open_lower(pid_t pid, const struct mapping *m, struct stat *st);

/* The number-th folder (from 0) of an option lowerdir=…, unescaped, into folder[size]. 0, or −ENOENT: there are fewer, or too long. */
int overlay_lower_folder(const char *options, unsigned number, char *folder, size_t size);

#endif
