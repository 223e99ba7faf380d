/*
 * One process, held by pidfd: that it exists, may be read, is of a kind we know, and the
 * few facts about it that every command prints.
 */
#ifndef ALLOCTRACE_TARGET_PROCESS_H
#define ALLOCTRACE_TARGET_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

struct process {
	pid_t pid;       /* thread group id, in our own PID namespace */
	int pidfd;       /* readable when the process has ended; −1 where the kernel has none */
	char comm[64];   /* /proc/PID/comm, control characters replaced */
	char exe[256];   /* where /proc/PID/exe points, as the target names it */
	bool is_static;  /* no program interpreter */
};

struct process_usage { /* bytes */
	uint64_t rss;       /* resident, lazy-free pages included: VmRSS */
	uint64_t lazy_free; /* MADV_FREE'd, still resident */
	uint64_t swap;
	uint64_t anon;      /* RssAnon */
	uint64_t shmem;     /* RssShmem: of RSS, shared memory and tmpfs, which others may have in theirs too */
};

/*
 * Opens pid. Errors in words: no such process, a thread instead of a process, a kernel
 * thread, a zombie, a 32-bit process, no permission.
 */
int process_open(pid_t pid, struct process *p, struct error *err);
/* A child that has ended before it could be opened: its parent's in all but the PID. 0, or −errno. */
int process_gone(pid_t pid, const struct process *parent, struct process *p);
void process_close(struct process *p); /* idempotent */
bool process_alive(const struct process *p);
/* Whom it runs as: its real uid. −ESRCH. */
int process_uid(const struct process *p, uid_t *uid);
/* After an exec under the name comm: exe and is_static afresh. −ESRCH if it has ended since; the name holds. */
int process_refresh(struct process *p, const char *comm, struct error *err);
/* smaps_rollup costs 16–40 ms a GB: want_lazy_free false leaves lazy_free at 0 and reads only status. */
int process_usage(const struct process *p, bool want_lazy_free, struct process_usage *u);

#endif
