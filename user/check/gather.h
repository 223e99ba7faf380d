/*
 * Gathers the facts about one process: read-only, from outside, nothing is stopped. Samples are taken
 * a second apart by whoever keeps the time; the look between them reads everything else, the heap too.
 */
#ifndef ALLOCTRACE_CHECK_GATHER_H
#define ALLOCTRACE_CHECK_GATHER_H

#include "base/error.h"
#include "check/facts.h"

struct gather; /* opaque: the process held, its memory, and the facts so far */

/* Opens the process; errors as process_open's and memory_open_process's. */
int gather_open(pid_t pid, struct gather **gather, struct error *err);
void gather_free(struct gather *gather); /* NULL-safe */

/* The next sample, CHECK_SAMPLES at most. −ESRCH: the process has ended. */
int gather_sample(struct gather *gather, struct error *err);
/* Everything else, once. −ESRCH: the process has ended; what else cannot be read is unknown in the facts. */
int gather_look(struct gather *gather, struct error *err);

/* Valid until gather_free. */
const struct check_facts *gather_facts(const struct gather *gather);

/* The parts of the look: each fills its facts. */

/* gather_environment.c: variables and preloads; maps and objects are the process's. */
void gather_environment(struct check_facts *facts, struct memory *mem, const struct maps *maps,
			struct objects *objects);
/* Splits an environment into settings of allocators; known is left at KNOWN_UNCLEAR. */
void gather_variables(const struct environment *env, struct check_facts *facts);
/* gather_cgroup.c: proc is "/proc" and root "" but in tests. */
void gather_cgroup(struct check_facts *facts, const char *proc, const char *root);

#endif
