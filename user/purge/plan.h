/*
 * What is to be called in a process, and all that has to be known of it beforehand, so that
 * nothing is read from files while a thread stands. Found without touching the process.
 */
#ifndef ALLOCTRACE_PURGE_PLAN_H
#define ALLOCTRACE_PURGE_PLAN_H

#include <stdint.h>

#include "base/error.h"
#include "heap/serving.h"
#include "heap/state.h"
#include "purge/ground.h"
#include "purge/method.h"
#include "stack/backtrace.h"
#include "target/maps.h"
#include "target/memory.h"
#include "target/objects.h"
#include "target/process.h"

#define PURGE_CODE_LEN 16

/* Code that is to run in the target, and how it began when it was found: an exec puts other code there. */
struct purge_code {
	uint64_t addr; /* 0: there is none */
	size_t len;    /* of bytes; 0: it was not read, and is not to run */
	uint8_t bytes[PURGE_CODE_LEN];
};

struct purge_plan {
	const struct process *process;
	const struct allocator *kind;
	bool is_for_show; /* nothing is to be called: code that was never run stays unmapped */
	const struct purge_method *method;
	char symbol[ALLOCATOR_SYMBOL_MAX]; /* of the method, with its prefix */
	struct purge_code function, sigreturn, swab;
	bool errno_known;
	int64_t errno_distance; /* from a thread's pointer */
	struct maps maps;
	struct objects *objects;
	struct serving found[SERVING_MAX];
	size_t found_cnt;
	struct ground *ground;
	struct backtrace *backtrace;
};

/*
 * For the serving allocator of that kind. process and mem must outlive the plan; the caller frees
 * it with purge_plan_free, also after an error. −ENOTSUP: that allocator has no purge, or it cannot
 * be called in this process (why, in err); −ENOENT: its function is not found; −ESRCH, −ENOMEM.
 */
int purge_plan_make(const struct process *process, struct memory *mem, const struct allocator *kind,
		    bool is_for_show, struct purge_plan *plan, struct error *err);
void purge_plan_free(struct purge_plan *plan); /* idempotent */

/* Whether all code is still what it was: false in the midst of an exec, or after one. */
bool purge_plan_holds(const struct purge_plan *plan);

#endif
