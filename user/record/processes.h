/* The processes of a recording, numbered as they come: of each, its sites as they were last. */
#ifndef ALLOCTRACE_RECORD_PROCESSES_H
#define ALLOCTRACE_RECORD_PROCESSES_H

#include <sys/types.h>

#include "record/site_changes.h"
#include "record/unfinished.h"

/* A process is what began to be watched under a PID at a time: PIDs come again. */
struct recorded_process {
	pid_t pid;
	uint64_t started_ns;
	struct site_states sites;
	struct site_states objects; /* sites of Python's small objects */
	struct unfinished unfinished; /* reading what has no final picture */
	bool ended;
};

struct recorded_processes { /* all zero: none */
	struct recorded_process **v;
	size_t cnt, cap;
};

void recorded_processes_free(struct recorded_processes *p); /* idempotent */
/* The one of a snapshot, which is new if need be. NULL: no memory, or more than RECORD_PROCESSES_MAX. */
struct recorded_process *recorded_process_of(struct recorded_processes *p, pid_t pid, uint64_t started_ns);
/* Forgets those that have ended. */
void recorded_processes_bury(struct recorded_processes *p);

#endif
