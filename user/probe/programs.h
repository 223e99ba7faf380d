/*
 * The BPF side, loaded: which program serves which role, the ring, the counters. Only here
 * is the skeleton seen.
 */
#ifndef ALLOCTRACE_PROBE_PROGRAMS_H
#define ALLOCTRACE_PROBE_PROGRAMS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../bpf/share.h"
#include "base/error.h"
#include "base/log.h"
#include "event/source.h"
#include "probe/feature.h"
#include "probe/link.h"
#include "probe/plan.h"
#include "probe/tracer.h"
#include "probe/unwind_tables.h"

struct programs;

/*
 * Loads what the features and options call for, and attaches the tracepoints of process life.
 * −EPERM, −ENOTSUP.
 */
int programs_load(const struct log *log, const struct feature *feature, const struct tracer_options *options,
		  struct programs **programs, struct error *err);
void programs_free(struct programs *programs); /* NULL-safe */

struct program_use {
	int fd;
	enum link_when when;
};

/* The programs of a role, in the order of attaching (end before begin); how many, at most 2. */
unsigned programs_of_role(const struct programs *programs, enum plan_role role, struct program_use use[2]);
/* One that does nothing: see follow.c. */
int programs_sweeper_fd(const struct programs *programs);

/* The maps of gates (bpf/gate.bpf.h), the program that opens and closes them, and those that look at what passes. */
struct gate_fds {
	int gates, spent, slots, taken, alarms, cell_mark, clock, running, look, milestone;
	uint32_t cnt; /* of gates that there can be */
};

struct gate_fds programs_gate_fds(const struct programs *programs);

int programs_ring_fd(const struct programs *programs);
/* What the kernel side knows of a traced process. */
struct program_process {
	bool sees_loads;   /* _dl_debug_state is probed */
	bool followed;     /* its children inherit events: they are recorded from their fork on */
	bool young;        /* its own probes are not all placed: what it inherited records */
};

/* Marks a process as traced, or says of one anew what holds. */
int programs_trace(const struct programs *programs, pid_t pid, const struct program_process *process);
/* What the kernel side keeps of it, frames' tables apart. */
void programs_untrace(const struct programs *programs, pid_t pid);
struct unwind_maps programs_unwind_maps(const struct programs *programs);
/* Where a process keeps its Python frames; NULL: it has none any more. */
int programs_python(const struct programs *programs, pid_t pid, const struct python_layout *layout);
/*
 * What children inherit (early.h). A number for the next file's events, their attach cookie; where the
 * functions are in that file, and in a process that maps it. act: enum early_act of bpf/share.h.
 */
uint32_t programs_early_number(struct programs *programs);
int programs_early_spot(const struct programs *programs, uint32_t event, uint64_t offset, uint64_t cookie, uint32_t act);
void programs_early_place(const struct programs *programs, uint32_t event, uint64_t addr, uint64_t cookie, uint32_t act);
void programs_early_forget(const struct programs *programs, uint32_t event, uint64_t offset);
/* The program at entries or returns; −1: there is none. */
int programs_early_fd(const struct programs *programs, enum link_when when);
/* So many children that were recorded from their fork on have their own probes, or have ended, since a while. */
void programs_settle(struct programs *programs, uint64_t cnt);
/* The program was replaced: none of its blocks is there any more. */
void programs_forget_blocks(struct programs *programs);
/* How often each place (its number in the cookie) was hit, in all processes together. */
void programs_object_places(const struct programs *programs, uint64_t hits[POOL_PLACES_MAX]);
/* From now on frees tell what stands before their block also if its allocation was recorded. */
void programs_read_headers(struct programs *programs);
/* How often a function that is a mark was called in a process. */
uint64_t programs_mark_hits(const struct programs *programs, pid_t pid, uint32_t func);
/* Hits of allocation probes that left no record. */
void programs_silent_hits(const struct programs *programs, uint64_t *nested, uint64_t *filtered);
void programs_losses(const struct programs *programs, uint64_t lost[LOSS_CNT]);

/* Counting what other threads add to RSS, while a purge is in flight: slows every page fault meanwhile. */
int programs_watch(struct programs *programs, bool on);

#endif
