/*
 * One traced process: its probes, what the kernel side needs to take its stacks, its
 * interpreter, and how often its functions were hit. Kept up to date as events tell of loads
 * and execs.
 */
#ifndef ALLOCTRACE_PROBE_ATTACHED_H
#define ALLOCTRACE_PROBE_ATTACHED_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/log.h"
#include "event/source.h"
#include "probe/cost.h"
#include "probe/feature.h"
#include "probe/follow.h"
#include "probe/milestones.h"
#include "probe/programs.h"
#include "probe/python.h"
#include "probe/unwind_tables.h"

struct attached;

/* What all processes share; the pointers outlive every one of them. */
struct attached_context {
	const struct log *log;
	const struct feature *feature;
	struct programs *programs;
	struct functions *functions;
	struct plans *plans;
	struct unwind_tables *tables; /* NULL: no stacks are taken */
	struct keeper *keeper;
	struct early_context *early;
	struct object_options objects;
	bool attaches_children; /* as they come */
	struct gate_fds gates;
	bool budgeted;          /* processes have gates */
	bool follow;            /* … and they inherit what records them until then */
};

/*
 * Places the probes; what could not be placed is missing and no error. −ESRCH, −EACCES, −ENOMEM.
 * parent: that it was forked from, when what it inherited records already; else NULL.
 */
int attached_open(const struct attached_context *ctx, pid_t pid, const struct attached *parent,
		  struct attached **attached, struct error *err);
void attached_close(struct attached *attached); /* NULL-safe; removes the probes that nobody else has */

/* Notes what an event of this process's asks for; attached_act does it. */
void attached_note(struct attached *attached, const struct event *ev);
void attached_act(struct attached *attached, uint64_t now);
/* Whether there is anything for attached_act. */
bool attached_wants(const struct attached *attached);

/* NULL: none whose frames are read. */
const struct python *attached_python(const struct attached *attached);
/* Whether its CPython tells when its garbage collector runs. */
bool attached_sees_collections(const struct attached *attached);
/* How far point number i of the marks has come in it. */
enum mark_sight attached_sees_mark(const struct attached *attached, size_t i);
/* What is not seen of it. */
struct missing *attached_missing(const struct attached *attached);
/* CPU time (ns) that hits have cost it: those that left a record, and what was charged of the others. */
uint64_t attached_probe_ns(const struct attached *attached, const struct probe_cost *cost);
/* Recorded hits since the last charge. */
uint64_t attached_fresh_hits(const struct attached *attached);
/*
 * Of hits without a record, which are counted for all processes together: so much for each fresh hit, and so much
 * more.
 */
void attached_charge(struct attached *attached, double ns_per_hit, double ns);
/* Whether Python's objects are to be looked at, and can be. */
bool attached_sees_objects(const struct attached *attached);
/* … in cells. */
bool attached_paces_objects(const struct attached *attached);
/*
 * Places or removes the probes of a stream of its, CELL_BLOCKS or CELL_OBJECTS; from another thread than all
 * else. False: not now, others are being placed.
 */
bool attached_switch(struct attached *attached, uint32_t stream, bool on);
/* NULL: it has none (no budget). */
struct milestones *attached_milestones(const struct attached *attached);
pid_t attached_pid(const struct attached *attached);
unsigned attached_probe_cnt(const struct attached *attached);
unsigned attached_lost_cnt(const struct attached *attached); /* probes that could not be placed */

#endif
