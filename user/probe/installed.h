/*
 * Allocators that lie on disk beside a process's libraries: one may be loaded and purged within
 * microseconds, so they are probed before they are mapped.
 */
#ifndef ALLOCTRACE_PROBE_INSTALLED_H
#define ALLOCTRACE_PROBE_INSTALLED_H

#include <stddef.h>
#include <sys/types.h>

struct installed { /* all zero: no directory was looked through yet */
	char **dirs;
	size_t dir_cnt, dir_cap;
};

void installed_forget(struct installed *installed); /* all directories; idempotent */
/*
 * Looks through the directory of a library that pid has mapped, if it was not yet: found is
 * called for each file that by its name is worth opening, files before links to them.
 */
void installed_look(struct installed *installed, pid_t pid, const char *library,
		    void (*found)(const char *dir, const char *name, void *arg), void *arg);

#endif
