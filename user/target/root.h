/*
 * A process's root directory, held open: files by its own paths, also when it has ended. Its
 * links lead nowhere else (openat2, RESOLVE_IN_ROOT), whoever made them.
 */
#ifndef ALLOCTRACE_TARGET_ROOT_H
#define ALLOCTRACE_TARGET_ROOT_H

#include <sys/stat.h>
#include <sys/types.h>

/* A descriptor for root_open_file, or −errno. The caller closes it. */
int root_open(pid_t pid);
/* Opens a regular file for reading: a descriptor, or −errno (−ENOENT also for what is no file). */
int root_open_file(int root, const char *path, struct stat *st);

#endif
