/*
 * Whether return probes are harmless. From 6.11 on they return through a system call of
 * their own (uretprobe, 335 on x86-64), and until that was exempted a process whose seccomp
 * filter does not know the call died of it. No version tells: distributions backport. So a
 * child of ours gets such a filter and calls a probed function, from a thread that is not
 * its first, because some kernels' links only see the first.
 */
#ifndef ALLOCTRACE_PROBE_RETURN_PROBE_H
#define ALLOCTRACE_PROBE_RETURN_PROBE_H

#include <stdint.h>
#include <sys/types.h>

struct subject {
	pid_t pid;
	int go; /* closed or written: the child goes on */
};

/* Starts the child, which waits for subject_run. */
int subject_start(struct subject *subject);
/* Lets it call the function once and waits for its end; its wait status, or −errno. */
int subject_run(struct subject *subject);
/* Where in /proc/self/exe the function is. */
int subject_offset(uint64_t *file_offset);

#endif
