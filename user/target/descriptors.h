/* What a process has open, by kind, and how much of it is new: /proc/PID/fd. */
#ifndef ALLOCTRACE_TARGET_DESCRIPTORS_H
#define ALLOCTRACE_TARGET_DESCRIPTORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define DESCRIPTORS_MAX 262144 /* looked at; the rest is only known to be more */

enum descriptor_kind {
	DESCRIPTOR_SOCKET,
	DESCRIPTOR_PIPE,
	DESCRIPTOR_FILE,
	DESCRIPTOR_DELETED, /* a file that has no name any more */
	DESCRIPTOR_DEVICE,  /* below /dev */
	DESCRIPTOR_ANON,    /* anon_inode: epoll, eventfd, timers … */
	DESCRIPTOR_OTHER,
	DESCRIPTOR_KIND_CNT
};
extern const char *const descriptor_kind_names[DESCRIPTOR_KIND_CNT]; /* "sockets", … */

struct descriptors { /* all zero: none */
	uint64_t cnt, kind[DESCRIPTOR_KIND_CNT];
	uint64_t fresh[DESCRIPTOR_KIND_CNT]; /* of them: not open, as this number, at the reading before */
	bool cut;                            /* there are more than DESCRIPTORS_MAX */
	uint64_t *ids;                       /* of each, sorted: what the next reading compares */
};

/* before NULL: nothing is fresh. 0, −ESRCH, −EACCES, −ENOMEM. The caller frees with descriptors_free. */
int descriptors_read(pid_t pid, const struct descriptors *before, struct descriptors *now);
void descriptors_free(struct descriptors *d); /* idempotent */

/* By what /proc/PID/fd/N points at. */
enum descriptor_kind descriptor_kind_of(const char *link);
/* The process's soft limit (RLIMIT_NOFILE), UINT64_MAX: none; 0 if it cannot be told. */
uint64_t descriptors_limit(pid_t pid);

#endif
