/*
 * Probes kept where they belong in one process: in the objects it has mapped and in the
 * allocators that lie beside them on disk, through loads and exec, and out of its children.
 */
#ifndef ALLOCTRACE_PROBE_FOLLOW_H
#define ALLOCTRACE_PROBE_FOLLOW_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "probe/early.h"
#include "probe/keeper.h"
#include "probe/plans.h"
#include "probe/programs.h"

struct follow;

struct follow_context { /* what it points to must outlive all that is made with it */
	const struct programs *programs;
	struct plans *plans;
	struct functions *functions;
	struct missing *missing; /* the process's own */
	struct keeper *keeper;
	enum link_backend backend;
};

struct follow *follow_new(pid_t pid, const struct follow_context *ctx); /* NULL: no memory */
/* NULL-safe; removes every probe, not waited for (keeper_stop does). */
void follow_free(struct follow *follow);

/* Plans and attaches what has come since. −ESRCH when the process is gone. */
int follow_update(struct follow *follow, struct error *err);
/* What its children inherit of the files that it maps now. */
void follow_inherit(struct follow *follow, struct early *early);
/*
 * After an exec: the same, and probes in objects of the old program are removed. changed_leader:
 * another thread than the first called it, and has taken the place of the one that the links know.
 */
int follow_exec(struct follow *follow, bool changed_leader, struct error *err);

/*
 * A child that is not traced inherits the breakpoints of session and multi links, and pays
 * for each (1.7 µs a pair) until it is swept. Returns at once: a thread does it; a call while
 * it is busy is remembered.
 */
void follow_sweep(struct follow *follow);
/* Starts the sweep that was remembered, if the last is done. */
void follow_tick(struct follow *follow);
bool follow_wants_tick(const struct follow *follow);

/*
 * Places or removes the probes of Python's objects, which are not placed before; until the next call what is
 * loaded gets them too, or not. Some two hundred of them take 30-80 ms to come and as long to go, which is not
 * waited for but by the next that places them: of those that are still there hits would count twice.
 */
void follow_switch_objects(struct follow *follow, bool on);
/* Whether there are any such places in what it has mapped. */
bool follow_has_objects(const struct follow *follow);
/* Places or removes the probes of allocation functions; what removes them waits for the kernel in a thread. */
void follow_switch_allocs(struct follow *follow, bool on);

unsigned follow_probe_cnt(const struct follow *follow);
unsigned follow_lost_cnt(const struct follow *follow); /* probes that could not be placed */
bool follow_sees_loads(const struct follow *follow);
/* How far point number i of the plans' marks has come. */
enum mark_sight follow_sees_mark(const struct follow *follow, size_t i);
/* CPython's garbage collector, by its own probes. */
bool follow_sees_collections(const struct follow *follow);

#endif
