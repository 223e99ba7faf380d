/* The threads of a process, with their names and, where glibc's own list can be read, their thread pointers. */
#ifndef ALLOCTRACE_TARGET_THREADS_H
#define ALLOCTRACE_TARGET_THREADS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "target/maps.h"
#include "target/memory.h"
#include "target/objects.h"

#define THREADS_MAX 65536

struct thread {
	pid_t tid;
	char name[32];    /* comm, printable */
	uint64_t pointer; /* behind its static TLS (x86-64: what FS points at); 0: not known */
	pid_t own_tid;    /* as its own PID namespace numbers it */
};

struct threads { /* all zero: none */
	struct thread *v; /* by tid, ascending */
	size_t cnt;
};

/* 0, −ESRCH, −ENOMEM; beyond THREADS_MAX they are left out. The caller frees with threads_free. */
int threads_read(pid_t pid, struct threads *threads);
void threads_free(struct threads *threads); /* idempotent */

/*
 * Looks for the threads in glibc's lists of stacks, as libthread_db does: by the offsets that the
 * C library publishes for debuggers (_thread_db_*, nptl_db/structs.def), so for any version from 2.31
 * on. Each pointer is believed only if the thread's descriptor there points at itself and has a tid
 * of ours. Nothing is stopped; threads that come or go meanwhile may be missed.
 */
void threads_find_pointers(struct threads *threads, struct memory *mem, const struct maps *maps,
			   struct objects *objects);

#endif
