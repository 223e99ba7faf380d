/*
 * Meets a thread at instructions of a target's files: each time it executes one of them, it gets
 * a signal there and then (bpf/catch.bpf.c), which its tracer sees. Needs what probes need
 * (CAP_BPF, CAP_PERFMON).
 */
#ifndef ALLOCTRACE_PROBE_CATCHER_H
#define ALLOCTRACE_PROBE_CATCHER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/log.h"
#include "target/object.h"

struct catcher;

struct catcher_spot {
	struct object *object;
	uint64_t offset; /* of the instruction, in its file */
};

/* Forks a keeper (keeper.h): to be called before there are threads. −EPERM, −ENOTSUP. */
int catcher_new(const struct log *log, struct catcher **catcher, struct error *err);
void catcher_free(struct catcher *catcher); /* NULL-safe */

/* From now on that thread of pid is sent the signal at each of the spots. 0 or −errno, and no spot then. */
int catcher_arm(struct catcher *catcher, pid_t pid, pid_t tid, int signal, const struct catcher_spot *spots, size_t cnt);
/* No longer, when it returns (25–150 ms). */
void catcher_disarm(struct catcher *catcher);

#endif
