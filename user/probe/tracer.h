/*
 * The live event source: BPF programs loaded, probes placed in processes and kept up to
 * date as these load libraries, fork and exec. The only room, with the ones beside it in
 * probe/, that sees libbpf.
 *
 *   tracer.c    life cycle: open, attach, poll, close
 *   attached.c  one traced process
 *   plans.c     the plans of files, shared by processes
 *   plan.c      which functions of which objects: rows × mapped objects (× installed, not yet mapped)
 *   python_objects.c  … and where CPython's small objects are born and die; pool_code.c finds that in code
 *   python_gc.c   … and the probes that CPython brings itself
 *   mark_point.c  … and the functions that the user has named as marks
 *   place.c     where exactly in a function (Zydis): entry, exits
 *   link.c      attaching: session, multi or perf links
 *   keeper.c    the process that does it and holds them, so that none outlives us
 *   early.c     what followed children inherit, to be recorded before they have probes of their own;
 *               event_def.c the events in tracefs for that
 *   follow.c    the objects of one process through loads and exec; installed.c those that lie beside them
 *   arrival.c   whether probes are where a process runs
 *   sweep.c     clears the children that are not traced
 *   programs.c  the BPF side, loaded; watch.c turns the costly part on while a purge is in flight
 *   slicer.c    a thread that keeps processes to a budget; gates.c whether something is recorded, and what that takes
 *   feature.c   what this kernel can do, found by trying
 *   kfunc.c     functions of the kernel that programs call, whatever their prototype
 *   cost.c      what a hit costs, found out on a child of ours
 *   return_probe.c  whether a return probe kills a process under a seccomp filter, tried on a child of ours
 */
#ifndef ALLOCTRACE_PROBE_TRACER_H
#define ALLOCTRACE_PROBE_TRACER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/log.h"
#include "budget/pace.h"
#include "event/source.h"
#include "probe/allocator.h"
#include "probe/mark_point.h"
#include "probe/python.h"

struct tracer;

struct probe_cost { /* of hits of allocation probes, ns of CPU time */
	double entry;   /* a free; a call of which nothing is recorded */
	double call;    /* an allocation, from begin to end */
	double stepped; /* more where the kernel must single-step the instruction */
	/* Under a budget, what of these is not the programs' behind the gate: of an entry, of a return. */
	double trap, return_trap;
};

struct object_options { /* Python's small objects, where the places are known at which they are born and die */
	bool wanted;
	bool paced;            /* in cells (EVENT_CELL), for two fifths of max_overhead; else all the time, at any cost */
	uint64_t sample_bytes; /* births are recorded of one in so many bytes, on average; 0: all */
};

struct tracer_options {
	bool allocs;                 /* probe the allocation functions too */
	struct object_options objects;
	bool stacks;                 /* record the stacks of callers: of purges and dlopen too */
	uint64_t sample_bytes;       /* … of allocations one in so many bytes, on average; 0: all */
	uint64_t free_sample_bytes;  /* … of frees */
	uint64_t size_min, size_max; /* allocations of other sizes are not recorded; inclusive */
	double max_overhead;         /* share of a process's CPU time that probes of allocations may take; 0: no limit */
	bool stacks_sampled;         /* the means above were asked for: a budget leaves them */
	bool follow;                 /* children are attached to: record them from their fork on */
	bool many;                   /* more than one process will be attached to */
	const struct allocator *const *more; /* probed beside the known ones (allocator_nth); must outlive the tracer */
	const struct mark_points *marks;     /* whose calls are EVENT_MARK; must outlive the tracer; NULL: none */
};

struct object_counts { /* of Python objects while they were recorded, cumulative; bytes as pools round them */
	uint64_t taken, taken_bytes, given, given_bytes;
	uint64_t odd; /* hits that were none: a place was taken for what it is not */
};

/* What the cookie in an event's head.func stands for. */
struct traced_function {
	const char *symbol;
	enum probe_shape shape;
	bool has_result;
	enum realloc_null on_null;
	bool stepped; /* the kernel single-steps the probed instruction */
	/* Where: the function in the file, the probed instruction from there, and why that. How its end is seen. */
	uint64_t file_offset;
	uint32_t entry;
	const char *why; /* a literal */
	bool return_probe;
	unsigned exit_cnt, lost_exits; /* probed; ways out of which a call ends unseen */
	const struct allocator *allocator; /* NULL: libc_rows, loader_rows, a mark */
	const struct mark_point *mark;     /* PROBE_MARK */
	const char *object;                /* path in the target */
	dev_t dev;
	uint64_t inode;
};

/*
 * Loads the programs (no target yet). −EPERM without privilege, −ENOTSUP where the kernel
 * lacks what is needed; the error says which.
 */
int tracer_open(const struct log *log, const struct tracer_options *options, struct tracer **tracer, struct error *err);
/*
 * Places the probes in pid, one more; it runs on meanwhile. What could not be placed is noted
 * (tracer_missing) and is no error: forks, exec and exit are followed in any case. 0 if it is
 * traced already.
 */
int tracer_attach(struct tracer *tracer, pid_t pid, struct error *err);
/*
 * Of a child that a traced process has just forked: the same. If it is covered, it is recorded already, and
 * from its fork to its end nothing of it is missed; −ESRCH then too if it has ended: its events come all the
 * same.
 */
int tracer_attach_child(struct tracer *tracer, const struct event_fork *fork, struct error *err);
/* It is of no interest, or has ended before it could be attached to. */
void tracer_leave_child(struct tracer *tracer, const struct event_fork *fork);
/* It has ended, or is of no interest any more: removes its probes, not waited for. */
void tracer_detach(struct tracer *tracer, pid_t pid);
/* Removes every probe and program; NULL-safe. The ring's rest is consumed by the last tracer_poll before. */
void tracer_free(struct tracer *tracer);

/*
 * Wakes (epoll, edge-triggered) when events have come that are not to wait, and every 200 ms.
 * It stays readable while the ring holds anything: whoever waits for that is woken by every record.
 */
int tracer_fd(const struct tracer *tracer);
/*
 * Consumes what the ring holds, calling fn for each event in ring order. The tracer itself
 * acts on EVENT_LOADED, FORK, EXEC and PURGE_BEGIN first. Number of events (TRACER_POLL_MAX
 * or more: there may be others left), or −errno.
 */
#define TRACER_POLL_MAX 65536
#define TRACER_RING_POLLS 17 /* so many consume more than the ring ever holds */
int tracer_poll(struct tracer *tracer, void (*fn)(const struct event *ev, void *arg), void *arg);

/* The process's CPython, if its frames are read; NULL: none. Valid until the next tracer_poll. */
const struct python *tracer_python(struct tracer *tracer, pid_t pid);
/* Whether the process's CPython tells when its garbage collector runs. */
bool tracer_sees_collections(struct tracer *tracer, pid_t pid);
/* How far a point of the options' marks has come in the process; how often it was called there, marked or not. */
enum mark_sight tracer_sees_mark(struct tracer *tracer, pid_t pid, const struct mark_point *point);
uint64_t tracer_mark_hits(const struct tracer *tracer, pid_t pid, const struct mark_point *point);
/* What hits of allocation probes cost here; all 0 without them. Whether there are return probes. */
struct probe_cost tracer_cost(const struct tracer *tracer);
bool tracer_has_return_probes(const struct tracer *tracer);
/* The function that head.func names, or NULL (0, or out of range). Valid until tracer_free. */
const struct traced_function *tracer_function(const struct tracer *tracer, uint32_t func);
/* Cumulative losses, of all processes. */
void tracer_losses(const struct tracer *tracer, uint64_t lost[SOURCE_LOSS_CNT]);
/*
 * Lines that say what is not seen of pid and why ("no return probes: …"); owned by the tracer. How many, at most
 * max.
 */
size_t tracer_missing(struct tracer *tracer, pid_t pid, const char **lines, size_t max);
/*
 * CPU time (ns) that the allocation probes have cost pid so far: hits × what one costs, found
 * out on a child of ours. An estimate; 0 without allocation probes.
 */
uint64_t tracer_probe_ns(struct tracer *tracer, pid_t pid);
/* Whether Python's objects are looked at in it, all the time or in cells. */
bool tracer_sees_objects(struct tracer *tracer, pid_t pid);
/* False: they never were. */
bool tracer_object_counts(struct tracer *tracer, pid_t pid, struct object_counts *counts);
/* CPU time (ns) that we have used so far, the process that holds the probes included. */
uint64_t tracer_cpu_ns(const struct tracer *tracer);
/* Not every recorded block is known any more: frees are to tell sizes of all (event_block.size). */
void tracer_read_headers(struct tracer *tracer);
/*
 * How the probes of a stream of its, CELL_BLOCKS or CELL_OBJECTS, keep to the budget; false: there is none, or no
 * such stream.
 */
bool tracer_pace(struct tracer *tracer, pid_t pid, uint32_t stream, struct pace_view *view);
unsigned tracer_probe_cnt(struct tracer *tracer, pid_t pid);

#endif
